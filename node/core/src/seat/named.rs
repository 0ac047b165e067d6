//! A body with its name, hashed once: comparing and passing it on is cheap.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use lattice::seat::{Body, BodyHash};

/// What a term says, and the hash that names it.
#[derive(Debug, Clone)]
pub struct NamedBody(Arc<(BodyHash, Body)>);

impl NamedBody {
    /// The body's name.
    pub fn name(&self) -> BodyHash {
        self.0.0
    }

    /// The body itself.
    pub fn body(&self) -> &Body {
        &self.0.1
    }
}

impl From<Body> for NamedBody {
    fn from(body: Body) -> Self {
        Self(Arc::new((body.hash(), body)))
    }
}

impl Deref for NamedBody {
    type Target = Body;

    fn deref(&self) -> &Body {
        self.body()
    }
}

impl PartialEq for NamedBody {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for NamedBody {}

impl Hash for NamedBody {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}
