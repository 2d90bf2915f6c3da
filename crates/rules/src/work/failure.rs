//! What a failed call leaves behind.

/// How a call that writes or sends failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It had no effect; calling again may help.
    NotLanded,
    /// It had no effect, and calling again as it is will have none.
    NeverLands,
    /// It may have had its effect, or have it later; calling again may tell.
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
