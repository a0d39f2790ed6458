//! A pipeline as chunks meet it: its steps beside every version that serves it, and which versions serve a group.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;

use super::now;
use crate::{
    codec::encode::Outlet,
    error::{ErrorCode, RequestError},
    metrics::PipelineMetrics,
    model::{
        manager::{Lease, Manager},
        servable::Servable,
    },
    request::{Group, Request},
    steps::{
        VersionFiles,
        program::{Bound, Segment},
    },
};

/// A pipeline, ready to run.
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// One for each `predict`.
    pub segments: Vec<Segment>,
    /// Where its answers go.
    pub outlet: Outlet,
    pub(super) metrics: PipelineMetrics,
    /// Segments bound to the versions that have served them so far: by segment and the version's serial number.
    bound: ArcSwap<HashMap<(usize, u64), Binding>>,
}

/// A segment and a version: either they fit, or the reason why not.
type Binding = Result<Arc<Bound>, RequestError>;

/// A group's way through a pipeline: for each segment the version that serves it, and its steps.
pub(super) type Plan = Vec<(Arc<Servable>, Arc<Bound>)>;

impl Pipeline {
    /// A pipeline that has not seen any model yet.
    pub fn new(name: String, segments: Vec<Segment>, outlet: Outlet) -> Self {
        let metrics = PipelineMetrics::new(&name);
        Self { name, segments, outlet, metrics, bound: ArcSwap::default() }
    }

    /// The segment's steps beside this version; read from its files the first time.
    ///
    /// # Errors
    /// `MODEL_UNAVAILABLE` if the version does not fit the pipeline.
    pub fn bind(&self, segment: usize, servable: &Arc<Servable>) -> Result<Arc<Bound>, RequestError> {
        let key = (segment, servable.serial);
        if let Some(binding) = self.bound.load().get(&key) {
            return binding.clone();
        }
        let files = VersionFiles { folder: servable.folder.clone() };
        let binding = self.segments[segment].bind(&files, &servable.signature).map(Arc::new).map_err(|error| {
            let error = servable.id.without_folder(&servable.folder, &error.to_string());
            let why = format!("model `{}` does not fit pipeline `{}`: {error}", servable.id, self.name);
            RequestError::new(ErrorCode::ModelUnavailable, why)
        });
        self.bound.rcu(|bound| {
            let mut bound = HashMap::clone(bound);
            bound.insert(key, binding.clone());
            bound
        });
        binding
    }

    /// Forgets the version with this serial number, which has left. What still uses it keeps its steps.
    pub fn forget(&self, serial: u64) {
        self.bound.rcu(|bound| {
            let mut bound = HashMap::clone(bound);
            bound.retain(|(_, bound), _| *bound != serial);
            bound
        });
    }

    /// Leases the versions that serve a group, and waits for those that are on their way until nobody of the group can be
    /// answered in time.
    pub(super) async fn plan(&self, group: &Group, models: &Manager) -> Result<Plan, RequestError> {
        let mut plan = Plan::with_capacity(group.route.models.len());
        for (segment, choice) in group.route.models.iter().enumerate() {
            let servable = match models.lease(choice)? {
                Lease::Ready(servable) => servable,
                Lease::Waiting(first) => models.wait(choice, first, patience(group)).await?,
            };
            servable.usage.note(group.requests.len());
            let bound = self.bind(segment, &servable)?;
            plan.push((servable, bound));
        }
        Ok(plan)
    }
}

/// How long the last of a group's requests can wait.
pub(super) fn patience(group: &Group) -> Duration {
    let latest = group.requests.iter().map(|request| request.deadline).max().unwrap_or(Request::NO_DEADLINE);
    let millis = if latest == Request::NO_DEADLINE { i64::from(u32::MAX) } else { latest.saturating_sub(now()) };
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}
