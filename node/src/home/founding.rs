//! A key that was made before there is a lattice: several who found one together must name each other first.

use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER_PERMISSIVE;

use super::{Home, HomeError, Seed};

/// The key, until the lattice is founded and it becomes `node.key`.
const FOUNDING_KEY: &str = "founding.key";

impl Seed {
    /// The seed in a directory that waits for its lattice; a new one if there is none yet.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if there is a node already, or the file is damaged, may be read by others, or can't be written.
    pub fn waiting_or_new(dir: &Path) -> Result<Self, HomeError> {
        if let Some(seed) = Self::waiting(dir)? {
            return Ok(seed);
        }
        let home = Home { dir: dir.to_owned() };
        let seed = Self::random().map_err(|error| home.io(FOUNDING_KEY, error))?;
        fs::create_dir_all(dir).map_err(|error| home.io("", error))?;
        home.write(FOUNDING_KEY, 0o600, HEXLOWER_PERMISSIVE.encode(&seed.0).as_bytes())?;
        Ok(seed)
    }

    /// The seed in a directory that waits for its lattice.
    ///
    /// # Errors
    ///
    /// [`HomeError`] if there is a node already, or the file is damaged or may be read by others.
    pub fn waiting(dir: &Path) -> Result<Option<Self>, HomeError> {
        Home::expect_none(dir)?;
        let home = Home { dir: dir.to_owned() };
        if !home.path(FOUNDING_KEY).exists() {
            return Ok(None);
        }
        home.seed(FOUNDING_KEY).map(Some)
    }
}

impl Home {
    /// The key has become the node's: the file in which it waited goes.
    ///
    /// # Errors
    ///
    /// [`HomeError::Io`].
    pub fn end_waiting(&self) -> Result<(), HomeError> {
        self.remove(FOUNDING_KEY)
    }
}
