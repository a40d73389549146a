//! Values that are loaded once while something holds them.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::Result;

pub(super) struct Held<T>(Mutex<Vec<(String, Weak<T>)>>);

impl<T> Held<T> {
    pub(super) const fn new() -> Self {
        Held(Mutex::new(Vec::new()))
    }

    /// The value of that name, loaded if nothing holds it.
    pub(super) fn get(&self, name: &str, load: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(_, value)| value.strong_count() > 0);
        let found = held.iter().find(|(n, _)| n == name).and_then(|(_, value)| value.upgrade());
        if let Some(value) = found {
            return Ok(value);
        }
        let value = Arc::new(load()?);
        held.push((name.to_owned(), Arc::downgrade(&value)));
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_something_holds_is_not_loaded_again() {
        let held = Held::new();
        let first = held.get("a", || Ok(1)).unwrap();
        assert!(Arc::ptr_eq(&first, &held.get("a", || Ok(2)).unwrap()));
        assert_eq!(*held.get("b", || Ok(3)).unwrap(), 3);
        drop(first);
        assert_eq!(*held.get("a", || Ok(4)).unwrap(), 4);
    }
}
