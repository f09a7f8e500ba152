//! Which device a model runs on. The only place that knows burn's backends by name.

use std::fmt;
use std::str::FromStr;

use mue_model::Device;

/// A device as users name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A real GPU if this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU, by burn's flex backend.
    Flex,
    /// The CPU, by burn's older ndarray backend.
    Ndarray,
    /// A GPU, or a software implementation of one, by burn's wgpu backend.
    Wgpu,
}

/// Why a device cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeviceError {
    /// The name is none of the choices.
    #[error("unknown device {0:?}; choose auto, flex, ndarray or wgpu")]
    Unknown(String),
    /// This binary was built without the backend.
    #[error("this build has no {0} device; rebuild with `--features {0}`")]
    NotBuilt(DeviceChoice),
    /// The machine has no such device.
    #[error("no GPU was found for wgpu; install a Vulkan driver, or use `--device flex`")]
    NoGpu,
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "auto" => Ok(Self::Auto),
            "flex" => Ok(Self::Flex),
            "ndarray" => Ok(Self::Ndarray),
            "wgpu" => Ok(Self::Wgpu),
            other => Err(DeviceError::Unknown(other.to_owned())),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Flex => "flex",
            Self::Ndarray => "ndarray",
            Self::Wgpu => "wgpu",
        })
    }
}

/// A device that is there, and the name of what was chosen (never `auto`).
#[derive(Clone, Debug)]
pub struct OpenDevice {
    /// The handle.
    pub device: Device,
    /// What it is.
    pub choice: DeviceChoice,
}

impl DeviceChoice {
    /// Finds the device.
    ///
    /// # Errors
    ///
    /// If this build or this machine does not have it.
    pub fn open(self) -> Result<OpenDevice, DeviceError> {
        let (device, choice) = match self {
            Self::Auto => match real_gpu() {
                Some(gpu) => (gpu, Self::Wgpu),
                None => (flex()?, Self::Flex),
            },
            Self::Flex => (flex()?, self),
            Self::Ndarray => (ndarray()?, self),
            Self::Wgpu => (gpu()?, self),
        };
        Ok(OpenDevice { device, choice })
    }
}

#[cfg(feature = "flex")]
fn flex() -> Result<Device, DeviceError> {
    Ok(Device::flex())
}

#[cfg(not(feature = "flex"))]
fn flex() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt(DeviceChoice::Flex))
}

#[cfg(feature = "ndarray")]
fn ndarray() -> Result<Device, DeviceError> {
    #[allow(deprecated)] // deprecated upstream, kept because users ask for it by name
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn ndarray() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt(DeviceChoice::Ndarray))
}

#[cfg(feature = "wgpu")]
mod wgpu {
    use burn::tensor::{DeviceKind, DeviceType};

    use super::{Device, DeviceError};

    /// A GPU that is one: discrete before integrated before virtual, never a software renderer.
    pub(super) fn real_gpu() -> Option<Device> {
        let found = Device::enumerate(DeviceType::Wgpu).into_vec();
        [DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)]
            .into_iter()
            .map(Device::wgpu)
            .find(|device| found.contains(device))
    }

    /// The best device that wgpu has, a software renderer if there is nothing else.
    pub(super) fn gpu() -> Result<Device, DeviceError> {
        let found = Device::enumerate(DeviceType::Wgpu).into_vec();
        real_gpu().or_else(|| found.into_iter().next()).ok_or(DeviceError::NoGpu)
    }
}

#[cfg(feature = "wgpu")]
use wgpu::{gpu, real_gpu};

#[cfg(not(feature = "wgpu"))]
fn real_gpu() -> Option<Device> {
    None
}

#[cfg(not(feature = "wgpu"))]
fn gpu() -> Result<Device, DeviceError> {
    Err(DeviceError::NotBuilt(DeviceChoice::Wgpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for choice in
            [DeviceChoice::Auto, DeviceChoice::Flex, DeviceChoice::Ndarray, DeviceChoice::Wgpu]
        {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        let error = "cuda".parse::<DeviceChoice>().unwrap_err().to_string();
        assert!(error.contains("cuda") && error.contains("flex"), "{error}");
    }

    #[cfg(feature = "flex")]
    #[test]
    fn auto_is_never_left_open() {
        assert_ne!(DeviceChoice::Auto.open().unwrap().choice, DeviceChoice::Auto);
    }

    #[cfg(not(feature = "wgpu"))]
    #[test]
    fn a_missing_backend_says_how_to_get_it() {
        let error = DeviceChoice::Wgpu.open().unwrap_err().to_string();
        assert!(error.contains("--features wgpu"), "{error}");
    }
}
