//! Names that were not found, and the nearest ones that the server has.

use rota_core::id::{DagId, RunId, TaskName};

use super::{Client, Dag, Task, Worker};
use crate::failure::Failure;

impl Client {
    /// `result`, and if it failed because there is no such DAG, the nearest name in its help.
    pub(crate) async fn or_nearest_dag<T>(
        &self,
        dag: &DagId,
        result: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Err(error) = result else { return result };
        let failure = missing(error)?;
        let names: Vec<String> = match self.list("/dags?limit=500", usize::MAX).await {
            Ok(dags) => dags
                .into_iter()
                .filter_map(|dag| serde_json::from_value::<Dag>(dag).ok())
                .map(|dag| dag.dag)
                .collect(),
            Err(_) => Vec::new(),
        };
        Err(failure.help(advice(dag.as_str(), &names, "`rota dag list` lists the DAGs")).into())
    }

    /// `result`, and if it failed because there is no such worker, the nearest name in its help.
    pub(crate) async fn or_nearest_worker<T>(
        &self,
        worker: &str,
        result: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Err(error) = result else { return result };
        let failure = missing(error)?;
        let found = self.list("/workers", usize::MAX).await.unwrap_or_default();
        let workers = found.into_iter().filter_map(|row| serde_json::from_value::<Worker>(row).ok());
        let live = workers.filter(|row| matches!(row.state.as_str(), "live" | "draining"));
        let names: Vec<String> = live.map(|row| row.id).collect();
        Err(failure.help(advice(worker, &names, "`rota worker list` lists the workers")).into())
    }

    /// `result`, and if it failed because the run or its task does not exist, what does exist in its help.
    pub(crate) async fn or_nearest_task<T>(
        &self,
        run: RunId,
        tasks: &[TaskName],
        result: anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let Err(error) = result else { return result };
        let failure = missing(error)?;
        let Ok(found) = self.list(&format!("/runs/{run}/tasks"), usize::MAX).await else {
            return Err(failure.help("`rota run list` lists the runs").into());
        };
        let names: Vec<String> = found
            .into_iter()
            .filter_map(|task| serde_json::from_value::<Task>(task).ok())
            .map(|task| task.task)
            .collect();
        let unknown = tasks.iter().find(|task| !names.iter().any(|name| name == task.as_str()));
        let Some(unknown) = unknown else { return Err(failure.into()) };
        let otherwise = format!("`rota run show {run}` lists its tasks");
        Err(failure.help(advice(unknown.as_str(), &names, &otherwise)).into())
    }
}

/// The failure, if it says that something does not exist; any other error as it is.
fn missing(error: anyhow::Error) -> anyhow::Result<Failure> {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.is_missing() => Ok(failure),
        Ok(failure) => Err(failure.into()),
        Err(error) => Err(error),
    }
}

fn advice(given: &str, names: &[String], otherwise: &str) -> String {
    let allowed = (given.chars().count() / 3).max(1);
    let distances = names.iter().map(|name| (strsim::damerau_levenshtein(given, name), name));
    match distances.filter(|(distance, _)| *distance <= allowed).min() {
        Some((_, name)) => format!("did you mean `{name}`? {otherwise}"),
        None => otherwise.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_far_one_is_not() {
        let names = ["packages".to_owned(), "pulse".to_owned()];
        assert_eq!(advice("packges", &names, "list"), "did you mean `packages`? list");
        assert_eq!(advice("zebra", &names, "list"), "list");
    }
}
