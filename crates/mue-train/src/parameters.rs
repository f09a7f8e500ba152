//! The parameters of a run and their optimiser state, on the host.
//!
//! Each step the module is filled from here and the gradients come back here. Compared with
//! updating tensors on the device, one pass over plain slices does AdamW, the norm of all
//! gradients together and the averaged weights, gradients of several threads add up in a fixed
//! order, and a checkpoint is what it is.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Device, Gradients, Tensor, TensorData};

/// One parameter tensor and its state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameter {
    /// Path in the module.
    pub(crate) name: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
    /// Running means of the gradient and of its square.
    pub(crate) moments: [Vec<f32>; 2],
    /// Averaged values.
    pub(crate) average: Vec<f32>,
    /// Steps that had a gradient for it.
    pub(crate) updates: u64,
}

/// Gradients by parameter; none where the loss does not depend on one.
pub(crate) type GradientVectors = Vec<Option<Vec<f32>>>;

/// All parameters, in the order in which the module visits them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parameters(pub(crate) Vec<Parameter>);

impl Parameters {
    /// The parameters of a module, with fresh optimiser state.
    pub(crate) fn of<M: Module>(module: &M) -> Self {
        let mut reader = Reader { path: Vec::new(), found: Vec::new() };
        module.visit(&mut reader);
        Self(reader.found)
    }

    /// The module with these values.
    pub(crate) fn fill<M: Module>(&self, module: M, device: &Device) -> M {
        self.write(module, device, |parameter| &parameter.values)
    }

    /// The module with the averaged values.
    pub(crate) fn fill_average<M: Module>(&self, module: M, device: &Device) -> M {
        self.write(module, device, |parameter| &parameter.average)
    }

    fn write<M: Module>(
        &self,
        module: M,
        device: &Device,
        values: fn(&Parameter) -> &Vec<f32>,
    ) -> M {
        module.map(&mut Writer { parameters: self.0.iter(), device, values })
    }

    /// The gradients of a module that was filled from these parameters.
    pub(crate) fn gradients<M: Module>(module: &M, gradients: Gradients) -> GradientVectors {
        let mut collector = Collector { gradients, found: Vec::new() };
        module.visit(&mut collector);
        collector.found
    }
}

struct Reader {
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Reader {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val();
        let shape = value.dims().to_vec();
        let values = host(value);
        self.found.push(Parameter {
            name: self.path.join("."),
            shape,
            moments: [vec![0.0; values.len()], vec![0.0; values.len()]],
            average: values.clone(),
            values,
            updates: 0,
        });
    }

    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
}

struct Writer<'a> {
    parameters: std::slice::Iter<'a, Parameter>,
    device: &'a Device,
    values: fn(&Parameter) -> &Vec<f32>,
}

impl ModuleMapper for Writer<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parameter = self.parameters.next().expect("the module is the one that was read");
        let data = TensorData::new((self.values)(parameter).clone(), parameter.shape.clone());
        let tensor = Tensor::from_data(data, self.device);
        param.map(|_| if self.device.is_autodiff() { tensor.require_grad() } else { tensor })
    }
}

struct Collector {
    gradients: Gradients,
    found: GradientVectors,
}

impl ModuleVisitor for Collector {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(param.val().grad_remove(&mut self.gradients).map(host));
    }
}

/// Reads a float tensor to the host.
pub(crate) fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec::<f32>().expect("training is in f32")
}
