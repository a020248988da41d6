// Runs BullMQ with one process per job, for the benchmark. Commands are lines on standard input, answers are lines on
// standard output.
//
//   node bullmq.cjs PACKAGES SOCKET WIDTH
//
//   fill COUNT PROGRAM       adds COUNT jobs that run PROGRAM to the paused queue      -> filled
//   run COUNT                resumes the queue and waits until COUNT jobs have ended    -> ran MILLISECONDS
//   add PROGRAM ARGUMENT...  adds one job that runs PROGRAM                             -> (nothing)
const { createRequire } = require('node:module');
const { spawn } = require('node:child_process');
const readline = require('node:readline');

const [packages, socket, width] = process.argv.slice(2);
const installed = createRequire(`${packages}/x.js`);
const { Queue, Worker } = installed('bullmq');
const Redis = installed('ioredis');

const connect = () => new Redis({ path: socket, maxRetriesPerRequest: null });
const queue = new Queue('bench', { connection: connect() });
const run = ({ data: { program, args } }) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'ignore' });
    child.on('error', reject);
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`exit code ${code}`))));
  });
// On a loaded machine a lock may be renewed late, and its job would count as stalled.
const patience = { lockDuration: 600_000, stalledInterval: 600_000 };
const worker = new Worker('bench', run, { connection: connect(), concurrency: Number(width), ...patience });
let ended = 0;
let expected = Infinity;
let allEnded = () => {};
const count = () => {
  ended += 1;
  if (ended >= expected) allEnded();
};
worker.on('completed', count);
// Without a listener, an error that BullMQ recovers from would end the process.
worker.on('error', (error) => console.error(error));
queue.on('error', (error) => console.error(error));
worker.on('failed', (_, error) => {
  console.error(error);
  process.exit(1);
});

const kept = { removeOnComplete: true };
const commands = {
  async fill(number, program) {
    await queue.pause();
    const jobs = Array.from({ length: Number(number) }, () => ({ name: 'job', data: { program, args: [] }, opts: kept }));
    for (let at = 0; at < jobs.length; at += 500) await queue.addBulk(jobs.slice(at, at + 500));
    return 'filled';
  },
  async run(number) {
    ended = 0;
    expected = Number(number);
    const over = new Promise((resolve) => (allEnded = resolve));
    const began = process.hrtime.bigint();
    await queue.resume();
    await over;
    expected = Infinity;
    return `ran ${Number(process.hrtime.bigint() - began) / 1e6}`;
  },
  async add(program, ...args) {
    await queue.add('job', { program, args }, kept);
  },
};

(async () => {
  await worker.waitUntilReady();
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [command, ...words] = line.split(' ');
    const answer = await commands[command](...words);
    if (answer) console.log(answer);
  }
  process.exit(0);
})();
