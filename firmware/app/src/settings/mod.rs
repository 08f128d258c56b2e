//! The settings of a board: a page of bytes in its flash, defaults at build time, text on top.
//!
//! ```
//! use rserpool_firmware::settings::{PAGE_LEN, Settings};
//!
//! // As built: `RSERPOOL_POOL=...` and the like in the environment of the compiler.
//! let mut settings = Settings::at_build();
//! // A command line or a console changes single ones.
//! settings.apply("pool=ComputePool registrar=10.77.0.1:3863 transport=raw").expect("good");
//! // What is kept in flash.
//! let mut page = [0xff; PAGE_LEN];
//! let len = settings.write_page(&mut page)?;
//! assert!(len < PAGE_LEN);
//! assert_eq!(Settings::read_page(&page), Ok(settings));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod build;
mod page;
mod text;

use core::net::IpAddr;
use core::time::Duration;

use heapless::Vec;
use rserpool_core::association::Endpoint;
use rserpool_core::identifier::{PoolHandle, PoolHandleBuf};
use rserpool_core::profile::Profile;
use rserpool_core::sctp::UDP_PORT;
use rserpool_core::wire::{Load, Policy};
use serde::{Deserialize, Serialize};

pub use page::{PAGE_LEN, PAGE_VERSION, PageError};
pub use text::SettingError;

/// The most registrars that a page can name.
pub const REGISTRARS_MAX: usize = 4;

/// All that a board is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// Where its own address comes from.
    pub address: Address,
    /// The router to other networks; only for a static address.
    pub gateway: Option<IpAddr>,
    /// The handle of its pool, 1 to 32 bytes.
    pool: Vec<u8, 32>,
    /// The registrars to try. None: only those that announce themselves.
    pub registrars: Vec<RegistrarAddress, REGISTRARS_MAX>,
    /// Whether to listen for registrars that announce themselves by multicast.
    pub listens_for_announces: bool,
    /// By what its SCTP travels.
    pub transport: Transport,
    /// Its UDP port, if it travels by UDP.
    pub udp_port: u16,
    /// Whose habits decide where the RFCs and RSPLIB differ.
    profile: ProfileSetting,
    /// How users choose among the elements of the pool.
    pub policy: PolicySetting,
    /// The kernels that it offers; bit k stands for kernel k.
    pub kernels: u32,
    /// The pool key: 32 secret bytes that seal cookies.
    pub key: [u8; 32],
    /// Its pool element identifier; `None` takes a random one at every start.
    pub pe_id: Option<u32>,
    /// The SCTP port of its service.
    pub port: u16,
    /// Its SCTP port towards registrars.
    pub asap_port: u16,
    /// How long a registration holds unless it is renewed, in ms; `None`: as the profile says.
    pub registration_life_ms: Option<u32>,
    /// The longest time between two registrations, in ms; `None`: as the profile says.
    pub reregistration_ms: Option<u32>,
    /// After how long without traffic an association is probed, in ms.
    pub heartbeat_ms: u32,
    /// How often a package that gets on is checkpointed, in ms.
    pub cookie_ms: u32,
    /// How long packages in work may take after the command to stop, in ms.
    pub grace_ms: u32,
}

/// Where the board's own address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Address {
    /// DHCP, or with IPv6 router advertisements.
    Automatic,
    /// Set by hand, with the length of the network's prefix.
    Static {
        /// The address.
        #[cfg_attr(feature = "defmt", defmt(Debug2Format))]
        address: IpAddr,
        /// The length of the prefix, in bits.
        prefix_len: u8,
    },
}

/// Where a registrar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrarAddress {
    /// Its address.
    pub address: IpAddr,
    /// Its SCTP port.
    pub port: u16,
    /// Its UDP port; `None` tries those where it may be.
    pub udp_port: Option<u16>,
}

impl RegistrarAddress {
    /// The same as the core has it.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        let mut endpoint = Endpoint { port: self.port, ..Endpoint::default() };
        let _ = endpoint.addresses.push(self.address);
        endpoint.udp_port = self.udp_port;
        endpoint
    }
}

/// By what SCTP travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Transport {
    /// UDP (RFC 6951): passes NAT and hosts without SCTP.
    #[default]
    Udp,
    /// IP protocol 132.
    Raw,
}

/// A policy (RFC 5356) and this element's values for it; its load is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum PolicySetting {
    /// Least used.
    #[default]
    LeastUsed,
    /// Least used with degradation: a fraction of `u32::MAX`.
    LeastUsedDegradation(u32),
    /// Priority least used with degradation.
    PriorityLeastUsed(u32),
    /// Randomized least used.
    RandomizedLeastUsed,
    /// Round robin.
    RoundRobin,
    /// Weighted round robin with this weight.
    WeightedRoundRobin(u32),
    /// Random.
    Random,
    /// Weighted random with this weight.
    WeightedRandom(u32),
    /// Priority: higher is chosen first.
    Priority(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum ProfileSetting {
    Rsplib,
    Rfc,
}

impl Settings {
    /// What holds where nothing else was said.
    pub const DEFAULT: Self = Self {
        address: Address::Automatic,
        gateway: None,
        pool: Vec::new(),
        registrars: Vec::new(),
        listens_for_announces: true,
        transport: Transport::Udp,
        udp_port: UDP_PORT,
        profile: ProfileSetting::Rsplib,
        policy: PolicySetting::LeastUsed,
        kernels: u32::MAX,
        key: WELL_KNOWN_KEY,
        pe_id: None,
        port: SERVICE_PORT,
        asap_port: ASAP_PORT,
        registration_life_ms: None,
        reregistration_ms: None,
        heartbeat_ms: 3_000,
        cookie_ms: 500,
        grace_ms: 2_000,
    };

    /// The handle of the pool.
    #[must_use]
    pub fn pool(&self) -> PoolHandleBuf {
        let handle = PoolHandle::new(&self.pool).or(PoolHandle::new(DEFAULT_POOL));
        handle.expect("the default pool handle is one").to_buf()
    }

    /// Changes the pool.
    pub fn set_pool(&mut self, pool: PoolHandle<'_>) {
        self.pool.clear();
        let _ = self.pool.extend_from_slice(pool.as_bytes());
    }

    /// Whose habits decide where the RFCs and RSPLIB differ.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        match self.profile {
            ProfileSetting::Rsplib => Profile::Rsplib,
            ProfileSetting::Rfc => Profile::Rfc,
        }
    }

    /// Whether cookies are sealed with the key that everybody knows.
    #[must_use]
    pub fn has_well_known_key(&self) -> bool {
        self.key == WELL_KNOWN_KEY
    }

    /// How long packages in work may take after the command to stop.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms as u64)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl PolicySetting {
    /// The policy under `load`.
    #[must_use]
    pub const fn with_load(self, load: Load) -> Policy {
        match self {
            Self::LeastUsed => Policy::LeastUsed { load },
            Self::LeastUsedDegradation(degradation) => {
                Policy::LeastUsedDegradation { load, degradation: Load(degradation) }
            }
            Self::PriorityLeastUsed(degradation) => {
                Policy::PriorityLeastUsed { load, degradation: Load(degradation) }
            }
            Self::RandomizedLeastUsed => Policy::RandomizedLeastUsed { load },
            Self::RoundRobin => Policy::RoundRobin,
            Self::WeightedRoundRobin(weight) => Policy::WeightedRoundRobin { weight },
            Self::Random => Policy::Random,
            Self::WeightedRandom(weight) => Policy::WeightedRandom { weight },
            Self::Priority(priority) => Policy::Priority { priority },
        }
    }
}

/// The pool where nothing else was said.
const DEFAULT_POOL: &[u8] = b"ComputePool";
/// The key of `rsp serve` without a key file: it protects from accidents, not from people.
const WELL_KNOWN_KEY: [u8; 32] = [0; 32];
/// The port of the service where nothing else was said.
const SERVICE_PORT: u16 = 7_000;
/// A board has an address of its own, so that this is free.
const ASAP_PORT: u16 = 3_863;
