//! What an engine judges by.

use std::sync::Arc;

use crate::compile::plan::Plan;
use crate::compile::{CapacityError, Options, compile};
use crate::inventory::Identities;
use crate::policy::label::LabelSet;
use crate::policy::rules::{Flattened, Surroundings, flatten};
use crate::policy::schema::{CidrGroup, PolicyDocument};

/// Policies, and who the node and its peers are.
#[derive(Clone, Debug)]
pub struct Context {
    /// The policies, in document order.
    pub documents: Vec<PolicyDocument>,
    /// Every CIDR group.
    pub groups: Vec<Arc<CidrGroup>>,
    /// Labels of the node: `k8s:…` and `reserved:host`.
    pub node: LabelSet,
    /// Who has which address.
    pub identities: Identities,
    /// Name of the cluster.
    pub cluster: String,
    /// Modes, built-ins and failsafe entries.
    pub options: Options,
}

impl Context {
    /// The rules in force on the node.
    #[must_use]
    pub fn flatten(&self) -> Flattened {
        flatten(&self.documents, &self.surroundings())
    }

    /// What flattening needs to know.
    #[must_use]
    pub fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            node: &self.node,
            cluster: &self.cluster,
            groups: &self.groups,
        }
    }

    /// The plan of the node.
    ///
    /// # Errors
    /// When it does not fit the kernel's tables.
    pub fn plan(&self) -> Result<Plan, CapacityError> {
        compile(&self.flatten().rules, &self.identities, &self.options)
    }
}
