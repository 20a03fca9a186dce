//! What a fault could break by mistake: where its packets go, who else is behind them, and
//! what is refused unless it was allowed.

pub(crate) mod hazards;
pub(crate) mod inspect;
pub(crate) mod place;
pub(crate) mod route;
pub(crate) mod ssh;
