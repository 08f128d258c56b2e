//! The compute service: work-package protocol, worker and kernels.
