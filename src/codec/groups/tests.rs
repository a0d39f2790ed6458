//! Requests of one shape and route come together; all others stay apart.

use super::*;
use crate::request::{Form, Ids};

fn route() -> Arc<Route> {
    Arc::new(Route { pipeline: 0, models: vec![] })
}

fn request(message: usize) -> Request {
    Request {
        message,
        id: Ids::default().push("x"),
        rows: 0..0,
        form: Form::Tensors,
        deadline: Request::NO_DEADLINE,
        has_headers: false,
        options: None,
        failure: None,
    }
}

fn write(values: &[f32]) -> impl FnOnce(&mut Elements, usize) -> Result<(), String> {
    move |elements, count| {
        assert_eq!(count, values.len());
        let Elements::Fp32(column) = elements else { unreachable!() };
        column.extend_from_slice(values);
        Ok(())
    }
}

const X: &str = "x";

#[test]
fn neighbours_of_one_signature_share_their_columns() {
    let (mut groups, route) = (Groups::default(), route());
    for message in 0..2 {
        let input = Announced { name: X, datatype: DataType::Fp32, shape: &[2, 1], exact: false };
        let mut rows = groups.place(&route, &[input]).unwrap();
        rows.fill(input.shape, write(&[1.0, 2.0])).unwrap();
        rows.commit(request(message));
    }
    let groups = groups.finish();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].columns.find(X).unwrap().tensor.shape(), [4, 1]);
    assert_eq!(groups[0].requests[1].rows, 2..4);
}

#[test]
fn a_request_that_breaks_off_leaves_no_trace() {
    let (mut groups, route) = (Groups::default(), route());
    let signature = [
        Announced { name: X, datatype: DataType::Fp32, shape: &[1], exact: false },
        Announced { name: "y", datatype: DataType::Fp32, shape: &[1], exact: false },
    ];
    let mut rows = groups.place(&route, &signature).unwrap();
    rows.fill(&[1], write(&[1.0])).unwrap();
    assert!(rows.fill(&[1], |_, _| Err("broken")).is_err());
    drop(rows);
    let mut rows = groups.guess(&route).unwrap();
    for input in &signature {
        assert!(rows.expect(input));
        rows.fill(&[1], write(&[3.0])).unwrap();
    }
    rows.commit(request(1));
    let groups = groups.finish();
    assert_eq!(groups[0].columns.find(X).unwrap().tensor.elements(), &Elements::Fp32(vec![3.0]));
    assert_eq!(groups[0].requests.len(), 1);
}

#[test]
fn rows_that_are_filled_together_are_whole_or_gone() {
    let (mut groups, route) = (Groups::default(), route());
    let signature = [
        Announced { name: X, datatype: DataType::Fp32, shape: &[1, 2], exact: false },
        Announced { name: "y", datatype: DataType::Fp32, shape: &[1], exact: false },
    ];
    let fill = |groups: &mut Groups, x: &[f32], y: &[f32], rows: Option<usize>| {
        let mut drafted = groups.guess(&route).unwrap();
        let filled = drafted.fill_together(|columns| {
            for (column, values) in columns.iter_mut().zip([x, y]) {
                write(values)(column.growing().1, values.len()).unwrap();
            }
            rows
        });
        filled.map(|()| drafted.commit(request(0)))
    };
    drop(groups.place(&route, &signature).unwrap());
    assert!(fill(&mut groups, &[1.0], &[1.0], Some(1)).is_none(), "x lacks half a row");
    assert!(fill(&mut groups, &[1.0, 2.0], &[], None).is_none());
    assert!(fill(&mut groups, &[1.0, 2.0, 3.0, 4.0], &[5.0, 6.0], Some(2)).is_some());
    let groups = groups.finish();
    assert_eq!(groups[0].requests[0].rows, 0..2);
    assert_eq!(groups[0].columns.find(X).unwrap().tensor.shape(), [2, 2]);
    assert_eq!(groups[0].columns.find("y").unwrap().tensor.elements(), &Elements::Fp32(vec![5.0, 6.0]));
}

#[test]
fn a_group_is_guessed_by_where_it_goes() {
    let mut groups = Groups::default();
    let [near, far, new] = [0, 1, 2].map(|pipeline| Arc::new(Route { pipeline, models: vec![] }));
    let input = Announced { name: X, datatype: DataType::Fp32, shape: &[1], exact: false };
    for route in [&near, &far] {
        let mut rows = groups.place(route, &[input]).unwrap();
        rows.fill(input.shape, write(&[1.0])).unwrap();
        rows.commit(request(0));
    }
    let mut rows = groups.guess(&near).unwrap();
    assert!(rows.expect(&input));
    rows.fill(input.shape, write(&[2.0])).unwrap();
    rows.commit(request(1));
    assert!(groups.guess(&new).is_none());
    let groups = groups.finish();
    assert_eq!(groups.iter().map(Group::rows).collect::<Vec<_>>(), [2, 1]);
}

#[test]
fn scalars_and_unequal_first_axes_make_a_group_of_their_own() {
    let (mut groups, route) = (Groups::default(), route());
    for _ in 0..2 {
        let signature = [
            Announced { name: X, datatype: DataType::Fp32, shape: &[], exact: false },
            Announced { name: "y", datatype: DataType::Fp32, shape: &[3], exact: false },
        ];
        let mut rows = groups.place(&route, &signature).unwrap();
        rows.fill(&[], write(&[1.0])).unwrap();
        rows.fill(&[3], write(&[1.0, 2.0, 3.0])).unwrap();
        rows.commit(request(0));
        assert!(groups.guess(&route).is_none());
    }
    let groups = groups.finish();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups[0].columns.find(X).unwrap().tensor.shape(), [0_usize; 0]);
}

#[test]
fn requests_without_inputs_share_nothing() {
    let (mut groups, route) = (Groups::default(), route());
    for message in 0..2 {
        groups.place(&route, &[]).unwrap().commit(request(message));
        assert!(groups.guess(&route).is_none());
    }
    let groups = groups.finish();
    let messages: Vec<_> = groups.iter().map(|group| (group.rows(), group.requests[0].message)).collect();
    assert_eq!(messages, [(0, 0), (0, 1)]);
}

#[test]
fn a_shape_that_overflows_or_claims_endless_empty_rows_is_refused() {
    let mut groups = Groups::default();
    for shape in [&[usize::MAX, 2][..], &[usize::MAX, 0]] {
        let input = Announced { name: X, datatype: DataType::Fp32, shape, exact: false };
        assert!(groups.place(&route(), &[input]).is_err());
    }
}
