//! Requests of one chunk, as the rows of shared columns; how they fail, leave, and part.
//!
//! A group of one request may have any shapes; in a group of several, the first axis of every column counts the rows of all of
//! them.

use std::sync::Arc;

use super::{Request, Route};
use crate::{
    error::RequestError,
    tensor::{Column, Columns},
};

/// Requests of one chunk that go the same way with the same signature.
#[derive(Debug)]
pub struct Group {
    /// Where it goes.
    pub route: Arc<Route>,
    /// The data of all its requests.
    pub columns: Columns,
    /// Its requests in the order of their rows.
    pub requests: Vec<Request>,
}

impl Group {
    /// The number of rows of all requests together.
    pub fn rows(&self) -> usize {
        self.requests.last().map_or(0, |request| request.rows.end)
    }

    /// Whether the group is one request, whose tensors may have any shape.
    pub fn is_single(&self) -> bool {
        self.requests.len() == 1
    }

    /// Fails the request that owns `row`.
    pub fn fail_row(&mut self, row: usize, error: RequestError) {
        let index = if self.is_single() { 0 } else { self.requests.partition_point(|request| request.rows.end <= row) };
        if let Some(request) = self.requests.get_mut(index) {
            request.failure.get_or_insert(error);
        }
    }

    /// Fails every request that has not failed yet.
    pub fn fail_all(&mut self, error: &RequestError) {
        for request in &mut self.requests {
            request.failure.get_or_insert_with(|| error.clone());
        }
    }

    /// Whether no request is left that could be answered with a result.
    pub fn is_lost(&self) -> bool {
        self.requests.iter().all(|request| request.failure.is_some())
    }

    /// Takes the failed requests out, as a group without columns that only waits for its answers, so that no more work is
    /// spent on their rows. `None` if nothing failed.
    pub fn split_failed(&mut self) -> Option<Self> {
        if self.requests.iter().all(|request| request.failure.is_none()) {
            return None;
        }
        let (failed, live): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.requests).into_iter().partition(|request| request.failure.is_some());
        if !live.is_empty() {
            self.columns = rows_of(&live, &self.columns);
        }
        self.requests = renumbered(live);
        Some(Self { route: Arc::clone(&self.route), columns: Columns::default(), requests: failed })
    }

    /// Takes requests out, with their rows, as a group of their own. `None` if none of them leaves; a group that all leave
    /// stays behind empty.
    pub fn part(&mut self, leaves: impl Fn(&Request) -> bool) -> Option<Self> {
        let count = self.requests.iter().filter(|request| leaves(request)).count();
        if count == 0 {
            return None;
        }
        let route = Arc::clone(&self.route);
        if count == self.requests.len() {
            let (columns, requests) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.requests));
            return Some(Self { route, columns, requests });
        }
        let (left, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut self.requests).into_iter().partition(leaves);
        let columns = rows_of(&left, &self.columns);
        self.columns = rows_of(&kept, &self.columns);
        self.requests = renumbered(kept);
        Some(Self { route, columns, requests: renumbered(left) })
    }

    /// Each request as a group of its own, whose columns may then take any shape.
    pub fn split(self) -> Vec<Self> {
        if self.is_single() {
            return vec![self];
        }
        let Self { route, columns, requests } = self;
        let single = |mut request: Request| {
            let rows = request.rows.clone();
            let slice =
                |column: &Column| Column { tensor: Arc::new(column.tensor.slice(rows.clone())), ..column.clone() };
            let columns = columns.iter().map(slice).collect();
            request.rows = 0..rows.len();
            Self { route: Arc::clone(&route), columns, requests: vec![request] }
        };
        requests.into_iter().map(single).collect()
    }
}

/// The rows of some of a group's requests, one after another.
fn rows_of(requests: &[Request], columns: &Columns) -> Columns {
    let rows: Vec<_> = requests.iter().map(|request| request.rows.clone()).collect();
    let gathered = |column: &Column| Column { tensor: Arc::new(column.tensor.gather(&rows)), ..column.clone() };
    columns.iter().map(gathered).collect()
}

/// The requests with their rows counted from 0.
fn renumbered(mut requests: Vec<Request>) -> Vec<Request> {
    let mut end = 0;
    for request in &mut requests {
        let rows = request.rows.len();
        request.rows = end..end + rows;
        end += rows;
    }
    requests
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::{
        error::ErrorCode,
        request::{Form, Ids},
        tensor::{Elements, Tensor},
    };

    fn request(message: usize, rows: Range<usize>, ids: &mut Ids) -> Request {
        Request {
            message,
            id: ids.push("r"),
            rows,
            form: Form::Tensors,
            deadline: Request::NO_DEADLINE,
            has_headers: false,
            options: None,
            failure: None,
        }
    }

    /// Four rows of two numbers from 0 to 7, of three requests; the one in the middle owns two.
    fn group() -> Group {
        let mut ids = Ids::default();
        let tensor = Tensor::matrix(2, Elements::Int64((0..8).collect()));
        Group {
            route: Arc::new(Route { pipeline: 0, models: vec![] }),
            columns: [Column::new("x", tensor)].into_iter().collect(),
            requests: vec![request(0, 0..1, &mut ids), request(1, 1..3, &mut ids), request(2, 3..4, &mut ids)],
        }
    }

    #[test]
    fn a_row_fails_the_request_that_owns_it() {
        let mut ids = Ids::default();
        let requests = vec![request(0, 0..2, &mut ids), request(1, 2..2, &mut ids), request(2, 2..5, &mut ids)];
        let mut group =
            Group { route: Arc::new(Route { pipeline: 0, models: vec![] }), columns: Columns::default(), requests };
        group.fail_row(2, RequestError::new(ErrorCode::PreprocessFailed, "row 2"));
        let failed: Vec<_> = group.requests.iter().map(|request| request.failure.is_some()).collect();
        assert_eq!(failed, [false, false, true]);
        assert!(!group.is_lost());
    }

    #[test]
    fn failed_requests_leave_with_their_rows() {
        let mut group = group();
        assert!(group.split_failed().is_none());
        group.fail_row(2, RequestError::new(ErrorCode::PreprocessFailed, "row 2"));
        let failed = group.split_failed().unwrap();
        assert_eq!(failed.requests.iter().map(|request| request.message).collect::<Vec<_>>(), [1]);
        assert_eq!(group.columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![0, 1, 6, 7]));
        let singles = group.split();
        assert_eq!(singles[1].columns.find("x").unwrap().tensor.elements(), &Elements::Int64(vec![6, 7]));
        assert_eq!(singles[1].requests[0].rows, 0..1);
    }

    #[test]
    fn requests_part_with_their_rows() {
        let mut group = group();
        let read = |group: &Group| {
            let messages: Vec<_> =
                group.requests.iter().map(|request| (request.message, request.rows.clone())).collect();
            (messages, group.columns.find("x").unwrap().tensor.elements().clone())
        };
        assert!(group.part(|_| false).is_none());
        let left = group.part(|request| request.message != 1).unwrap();
        assert_eq!(read(&left), (vec![(0, 0..1), (2, 1..2)], Elements::Int64(vec![0, 1, 6, 7])));
        assert_eq!(read(&group), (vec![(1, 0..2)], Elements::Int64(vec![2, 3, 4, 5])));
        let all = group.part(|_| true).unwrap();
        assert_eq!(read(&all), (vec![(1, 0..2)], Elements::Int64(vec![2, 3, 4, 5])));
        assert!(group.requests.is_empty());
    }
}
