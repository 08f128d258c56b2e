//! Index-linked containers over slices that the caller lends.
