//! The effect of a failed call.

/// Whether a failed write or send may have had an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call had no effect. Another try may help.
    NotLanded,
    /// The call had no effect, and the same call never will.
    NeverLands,
    /// The call may have had its effect, or may have it later. Another try may show which.
    MayHaveLanded,
}

impl Failure {
    /// Whether the same call is worth making again.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::NotLanded | Self::MayHaveLanded => true,
            Self::NeverLands => false,
        }
    }

    /// Whether the call may have had its effect.
    #[must_use]
    pub const fn may_have_landed(self) -> bool {
        match self {
            Self::MayHaveLanded => true,
            Self::NotLanded | Self::NeverLands => false,
        }
    }
}
