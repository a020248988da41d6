//! Records with which Redis the state folder was used. Tasks stay in the server that accepted them, and the records of
//! runners in the folder belong to that server.

use std::fs;

use super::{Home, unusable};
use crate::{
    config::{Config, address},
    error::Result,
};

/// Two servers, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRedis {
    /// The one of the last start.
    pub earlier: String,
    /// The one that is configured now.
    pub now: String,
}

impl Home {
    /// Returns the two servers where the configuration names another Redis than the last start; `None` also where nothing was
    /// recorded. Users and passwords are neither compared nor shown.
    pub fn other_redis(&self, config: &Config) -> Option<OtherRedis> {
        let earlier = self.policy()?.config.redis.url;
        // An earlier release has recorded no address.
        if earlier.as_deref().is_some_and(str::is_empty) {
            return None;
        }
        let place = |url: Option<&str>| url.map(address::place);
        let (earlier, now) = (place(earlier.as_deref()), place(config.redis.url.as_deref()));
        let in_words =
            |place: Option<String>| place.unwrap_or_else(|| format!("the private Redis in {}", self.redis().display()));
        (earlier != now).then(|| OtherRedis { earlier: in_words(earlier), now: in_words(now) })
    }

    /// Moves away what runners have recorded for the Redis of before: none of it is to be done in another one.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside_earlier_records(&self) -> Result<()> {
        let all = self.path().join("earlier-redis");
        let taken = fs::read_dir(&all).into_iter().flatten().count();
        let place = all.join((taken + 1).to_string());
        super::create_dir(&place).map_err(|e| unusable(&place, &e))?;
        for folder in [self.journals(), self.reports()] {
            let Some(name) = folder.file_name().filter(|_| folder.exists()) else { continue };
            fs::rename(&folder, place.join(name)).map_err(|e| unusable(&folder, &e))?;
            super::create_dir(&folder).map_err(|e| unusable(&folder, &e))?;
        }
        Ok(())
    }
}
