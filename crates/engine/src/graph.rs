//! A plan, checked and indexed once.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use platform_spec::StepId;

use crate::{
    plan::{Plan, PlannedStep},
    resolve::references,
};

/// A plan that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Two steps have one id.
    #[error("step `{0}` stands twice in the plan")]
    Twice(StepId),
    /// A step needs, or refers to, one that is not there.
    #[error("step `{step}` needs `{need}`, which is not in the plan")]
    Missing {
        /// The step.
        step: StepId,
        /// What it needs.
        need: StepId,
    },
    /// Steps need one another in a circle.
    #[error("step `{0}` needs itself by way of others")]
    Circle(StepId),
}

/// A plan with its steps numbered in the plan's order.
#[derive(Debug)]
pub struct Graph {
    /// The plan.
    pub plan: Arc<Plan>,
    index: HashMap<StepId, usize>,
    needs: Vec<Vec<usize>>,
    dependents: Vec<Vec<usize>>,
}

impl Graph {
    /// Checks and indexes a plan. A reference to another step's output counts as a need.
    ///
    /// # Errors
    /// [`Unsound`] names the first step at fault.
    pub fn of(plan: impl Into<Arc<Plan>>) -> Result<Self, Unsound> {
        let plan = plan.into();
        let mut index = HashMap::with_capacity(plan.steps.len());
        for (at, step) in plan.steps.iter().enumerate() {
            if index.insert(step.id.clone(), at).is_some() {
                return Err(Unsound::Twice(step.id.clone()));
            }
        }
        let mut needs = Vec::with_capacity(plan.steps.len());
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        for (at, step) in plan.steps.iter().enumerate() {
            let mut mine = BTreeSet::new();
            for need in step.needs.iter().chain(&references(&step.input)) {
                let Some(&need_at) = index.get(need) else {
                    return Err(Unsound::Missing { step: step.id.clone(), need: need.clone() });
                };
                mine.insert(need_at);
            }
            for &need in &mine {
                dependents[need].push(at);
            }
            needs.push(mine.into_iter().collect());
        }
        let graph = Self { plan, index, needs, dependents };
        graph.refuse_circles()?;
        Ok(graph)
    }

    fn refuse_circles(&self) -> Result<(), Unsound> {
        let order = self.order();
        if order.len() == self.len() {
            return Ok(());
        }
        let reached: BTreeSet<usize> = order.into_iter().collect();
        let at = (0..self.len()).find(|at| !reached.contains(at)).unwrap_or_default();
        Err(Unsound::Circle(self.plan.steps[at].id.clone()))
    }

    /// The steps so that each comes after what it needs.
    pub fn order(&self) -> Vec<usize> {
        let mut open: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut ready: Vec<usize> = (0..self.len()).rev().filter(|&at| open[at] == 0).collect();
        let mut order = Vec::with_capacity(self.len());
        while let Some(at) = ready.pop() {
            order.push(at);
            for &dependent in self.dependents[at].iter().rev() {
                open[dependent] -= 1;
                if open[dependent] == 0 {
                    ready.push(dependent);
                }
            }
        }
        order
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.plan.steps.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.plan.steps.is_empty()
    }

    /// The number of a step.
    pub fn at(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The step with a number.
    pub fn step(&self, at: usize) -> &PlannedStep {
        &self.plan.steps[at]
    }

    /// What a step needs, references included.
    pub fn needs(&self, at: usize) -> &[usize] {
        &self.needs[at]
    }

    /// What needs a step.
    pub fn dependents(&self, at: usize) -> &[usize] {
        &self.dependents[at]
    }
}
