//! What a kernel is: a named function from a parameter block to an output block that stops to
//! draw breath often enough to be cancelled and to be continued elsewhere.
//!
//! A kernel must be a pure function of its parameters: same bytes out on every target, however
//! often it was interrupted and wherever it was resumed. So no floating-point function beyond
//! `+`, `-`, `*` and comparison (neither `libm` nor fused operations), and no `usize` in
//! anything that reaches the output.
//!
//! # Adding a kernel
//!
//! Implement [`Kernel`] and name it in a [`kernel_set!`](crate::kernel_set): an enum, so that
//! neither an allocator nor dynamic dispatch is needed.
//!
//! ```
//! use rserpool_core::compute::kernels::Synthetic;
//! use rserpool_core::compute::{Budget, Kernel, KernelError, KernelId, Output, Progress, Step};
//!
//! /// Squares the numbers from 0 to 9; its parameter block is empty.
//! struct Squares {
//!     next: u8,
//! }
//!
//! impl Kernel for Squares {
//!     const ID: KernelId = KernelId(0x8001);
//!     const NAME: &'static str = "squares";
//!
//!     fn start(parameters: &[u8]) -> Result<Self, KernelError> {
//!         if parameters.is_empty() { Ok(Self { next: 0 }) } else { Err(KernelError::Parameters) }
//!     }
//!
//!     fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError> {
//!         Self::start(parameters)?;
//!         match *state {
//!             [next @ 0..=10] => Ok(Self { next }),
//!             _ => Err(KernelError::State),
//!         }
//!     }
//!
//!     fn output_len(&self) -> u64 {
//!         10
//!     }
//!
//!     fn emitted_len(&self) -> u64 {
//!         self.next.into()
//!     }
//!
//!     fn progress(&self) -> Progress {
//!         Progress { done: self.next.into(), all: 10 }
//!     }
//!
//!     fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step {
//!         while self.next < 10 {
//!             if output.room() == 0 || !budget.spend(1) {
//!                 return Step::Yield;
//!             }
//!             output.push(&[self.next * self.next]);
//!             self.next += 1;
//!         }
//!         Step::Done
//!     }
//!
//!     fn checkpoint(&self, state: &mut [u8]) -> Option<usize> {
//!         *state.first_mut()? = self.next;
//!         Some(1)
//!     }
//! }
//!
//! rserpool_core::kernel_set! {
//!     /// What this element can compute.
//!     enum Mine {
//!         Squares(Squares),
//!         Synthetic(Synthetic),
//!     }
//! }
//!
//! use rserpool_core::compute::KernelSet;
//! let mut kernel = Mine::start(KernelId(0x8001), &[]).unwrap();
//! let mut bytes = [0; 16];
//! let mut output = Output::new(&mut bytes);
//! assert_eq!(kernel.step(&mut Budget::new(100), &mut output), Step::Done);
//! assert_eq!(output.written(), [0, 1, 4, 9, 16, 25, 36, 49, 64, 81]);
//! ```

use core::fmt;

use super::protocol::KernelId;

/// A computation that is cut into small steps.
pub trait Kernel: Sized {
    /// Its number on the wire.
    const ID: KernelId;
    /// Its name, for people.
    const NAME: &'static str;

    /// Begins with `parameters`.
    ///
    /// # Errors
    ///
    /// If they are no parameters of this kernel, or ask for too much.
    fn start(parameters: &[u8]) -> Result<Self, KernelError>;

    /// Continues from what [`checkpoint`](Self::checkpoint) wrote under the same `parameters`.
    ///
    /// # Errors
    ///
    /// If the parameters are refused, or `state` does not fit them.
    fn resume(parameters: &[u8], state: &[u8]) -> Result<Self, KernelError>;

    /// The length of its whole output, in bytes; known from the start.
    fn output_len(&self) -> u64;

    /// How many bytes of output it has written so far.
    fn emitted_len(&self) -> u64;

    /// How far it is.
    fn progress(&self) -> Progress;

    /// Computes until the budget is spent, the output is full or all is done. One unit of the
    /// budget is one turn of the innermost loop: some nanoseconds on a server.
    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step;

    /// Writes what [`resume`](Self::resume) needs; returns its length, or `None` if `state` is
    /// too small. At most [`STATE_LEN_MAX`](super::STATE_LEN_MAX) bytes.
    fn checkpoint(&self, state: &mut [u8]) -> Option<usize>;
}

/// The kernels that a worker has: what [`kernel_set!`](crate::kernel_set) writes.
///
/// A value is one running computation.
pub trait KernelSet: Sized {
    /// The numbers of the kernels.
    const IDS: &'static [KernelId];

    /// The name of a kernel.
    fn name(kernel: KernelId) -> Option<&'static str>;

    /// Begins; see [`Kernel::start`].
    ///
    /// # Errors
    ///
    /// [`KernelError::Unknown`] if there is no such kernel, otherwise what the kernel says.
    fn start(kernel: KernelId, parameters: &[u8]) -> Result<Self, KernelError>;

    /// Continues; see [`Kernel::resume`].
    ///
    /// # Errors
    ///
    /// [`KernelError::Unknown`] if there is no such kernel, otherwise what the kernel says.
    fn resume(kernel: KernelId, parameters: &[u8], state: &[u8]) -> Result<Self, KernelError>;

    /// See [`Kernel::output_len`].
    fn output_len(&self) -> u64;

    /// See [`Kernel::emitted_len`].
    fn emitted_len(&self) -> u64;

    /// See [`Kernel::progress`].
    fn progress(&self) -> Progress;

    /// See [`Kernel::step`].
    fn step(&mut self, budget: &mut Budget, output: &mut Output<'_>) -> Step;

    /// See [`Kernel::checkpoint`].
    fn checkpoint(&self, state: &mut [u8]) -> Option<usize>;
}

/// Makes an enum of kernels and implements [`KernelSet`] for it; see
/// [`compute::kernel`](crate::compute::kernel) for an example.
#[macro_export]
macro_rules! kernel_set {
    ($(#[$meta:meta])* $vis:vis enum $name:ident {
        $($(#[$doc:meta])* $variant:ident($kernel:ty)),+ $(,)?
    }) => {
        $(#[$meta])*
        $vis enum $name { $($(#[$doc])* $variant($kernel)),+ }

        impl $crate::compute::KernelSet for $name {
            const IDS: &'static [$crate::compute::KernelId] =
                &[$(<$kernel as $crate::compute::Kernel>::ID),+];

            fn name(kernel: $crate::compute::KernelId) -> Option<&'static str> {
                $(if kernel == <$kernel as $crate::compute::Kernel>::ID {
                    return Some(<$kernel as $crate::compute::Kernel>::NAME);
                })+
                None
            }

            fn start(
                kernel: $crate::compute::KernelId,
                parameters: &[u8],
            ) -> Result<Self, $crate::compute::KernelError> {
                $(if kernel == <$kernel as $crate::compute::Kernel>::ID {
                    return $crate::compute::Kernel::start(parameters).map(Self::$variant);
                })+
                Err($crate::compute::KernelError::Unknown)
            }

            fn resume(
                kernel: $crate::compute::KernelId,
                parameters: &[u8],
                state: &[u8],
            ) -> Result<Self, $crate::compute::KernelError> {
                $(if kernel == <$kernel as $crate::compute::Kernel>::ID {
                    return $crate::compute::Kernel::resume(parameters, state).map(Self::$variant);
                })+
                Err($crate::compute::KernelError::Unknown)
            }

            fn output_len(&self) -> u64 {
                match self { $(Self::$variant(it) => $crate::compute::Kernel::output_len(it)),+ }
            }

            fn emitted_len(&self) -> u64 {
                match self { $(Self::$variant(it) => $crate::compute::Kernel::emitted_len(it)),+ }
            }

            fn progress(&self) -> $crate::compute::Progress {
                match self { $(Self::$variant(it) => $crate::compute::Kernel::progress(it)),+ }
            }

            fn step(
                &mut self,
                budget: &mut $crate::compute::Budget,
                output: &mut $crate::compute::Output<'_>,
            ) -> $crate::compute::Step {
                match self {
                    $(Self::$variant(it) => $crate::compute::Kernel::step(it, budget, output)),+
                }
            }

            fn checkpoint(&self, state: &mut [u8]) -> Option<usize> {
                match self {
                    $(Self::$variant(it) => $crate::compute::Kernel::checkpoint(it, state)),+
                }
            }
        }
    };
}

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Step {
    /// The budget is spent or the output is full; call again.
    Yield,
    /// All is computed and written.
    Done,
    /// The kernel cannot go on.
    Failed,
}

/// How far a computation is, in units of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Progress {
    /// Units computed.
    pub done: u64,
    /// Units in all.
    pub all: u64,
}

/// Why a kernel does not begin or continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum KernelError {
    /// There is no kernel of this number.
    Unknown,
    /// The parameters are not of its layout or not in its range.
    Parameters,
    /// The checkpoint does not fit the parameters.
    State,
}

impl fmt::Display for KernelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "there is no such kernel",
            Self::Parameters => "the kernel cannot read its parameters",
            Self::State => "the checkpoint does not fit the parameters",
        })
    }
}

impl core::error::Error for KernelError {}

/// How much a step may compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Budget(u32);

impl Budget {
    /// A budget of `units`.
    #[must_use]
    pub const fn new(units: u32) -> Self {
        Self(units)
    }

    /// What is left.
    #[must_use]
    pub const fn left(self) -> u32 {
        self.0
    }

    /// Takes `units`; false, and nothing is taken, if less is left.
    #[must_use]
    pub fn spend(&mut self, units: u32) -> bool {
        match self.0.checked_sub(units) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

/// Where a kernel writes: a window of bounded length that is emptied between steps.
#[derive(Debug)]
pub struct Output<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> Output<'a> {
    /// A window over `buf`.
    #[must_use]
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// How many bytes can still be written.
    #[must_use]
    pub fn room(&self) -> usize {
        self.buf.len() - self.len
    }

    /// Appends `bytes`, all or nothing; false if there is no room.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(place) = self.buf.get_mut(self.len..self.len + bytes.len()) else {
            return false;
        };
        place.copy_from_slice(bytes);
        self.len += bytes.len();
        true
    }

    /// What was written.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.buf[..self.len]
    }
}
