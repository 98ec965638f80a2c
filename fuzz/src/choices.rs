//! Choices, read from bytes.

/// Choices, read from bytes; when these run out, it is always the first.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// Whether there is anything left to decide by.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of so many.
    pub fn of(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count.max(1)
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.of(from.len())]
    }

    /// Once in so many.
    pub fn once_in(&mut self, count: usize) -> bool {
        self.of(count) == count - 1
    }
}
