//! How many sessions an element takes.

/// The places of an element: each session takes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    count_max: usize,
    taken_count: usize,
}

impl Places {
    /// All of them free.
    pub(super) const fn new(count_max: usize) -> Self {
        Self { count_max, taken_count: 0 }
    }

    /// Takes one; whether there was one.
    pub(super) const fn take(&mut self) -> bool {
        let is_free = self.taken_count < self.count_max;
        if is_free {
            self.taken_count += 1;
        }
        is_free
    }

    /// Frees one that was taken.
    pub(super) const fn free(&mut self) {
        self.taken_count -= 1;
    }

    /// The share that is taken, from 0 to 1.
    pub(super) fn load(self) -> f64 {
        self.taken_count as f64 / self.count_max.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_places_are_taken_than_there_are() {
        let mut places = Places::new(2);
        assert!(places.take() && places.take() && !places.take());
        assert_eq!(places.load(), 1.0);
        places.free();
        assert_eq!(places.load(), 0.5);
        assert!(places.take());
        let mut none = Places::new(0);
        assert!(!none.take());
        assert_eq!(none.load(), 0.0);
    }
}
