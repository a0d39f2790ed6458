//! The verdict on whether rows may share a run, on models of every kind.

use modelmill::backend::{
    BatchAxis::{self, Dynamic, Fixed, None},
    BatchingChoice, Session, decide, sample,
};

use crate::open;

#[track_caller]
fn assert_verdict(name: &str, axis: BatchAxis, reason: &str) {
    let batching = decide(&mut open(name), BatchingChoice::Auto);
    assert_eq!(batching.axis, axis, "{name}: {}", batching.reason);
    assert!(batching.reason.contains(reason), "{name}: {}", batching.reason);
}

#[test]
fn rows_that_do_not_touch_each_other_may_share_a_run() {
    let same = "rows get the same answers alone and among others";
    for name in ["iris", "zipmap_int", "zipmap_string", "tokens", "image", "external_data", "poison", "cast_to_all"] {
        assert_verdict(name, Dynamic, same);
    }
    for name in ["identity_bool", "identity_bytes", "identity_fp16", "many_inputs_and_outputs", "optional_input"] {
        assert_verdict(name, Dynamic, same);
    }
    assert_verdict("passengers", Dynamic, same);
    assert_verdict("unranked_output", Dynamic, same);
    assert_verdict("zero_width", Dynamic, same);
}

#[test]
fn rows_that_touch_each_other_may_not() {
    assert_verdict("time_axis", None, "`y` of a row is");
    assert_verdict("centred", None, "among others");
    assert_verdict("quantised", None, "among others");
    assert_verdict("fixed_four_mixing", None, "among others");
    assert_verdict("drops_rows", None, "the output `y` has the shape");
}

#[test]
fn a_fixed_first_axis_is_met_by_pieces() {
    assert_verdict("fixed_four", Fixed(4), "every first axis is 4");
    assert_verdict("fixed_one", Fixed(1), "every first axis is 1");
}

#[test]
fn a_model_without_rows_runs_request_by_request() {
    assert_verdict("scalar", None, "the input `x` is a scalar");
    assert_verdict("no_inputs", None, "the model has no inputs");
}

#[test]
fn what_model_yaml_says_goes_before_what_is_found() {
    let verdict = |name: &str, choice| decide(&mut open(name), choice);
    assert_eq!(verdict("iris", BatchingChoice::Off).axis, None);
    assert_eq!(verdict("quantised", BatchingChoice::On).axis, Dynamic);
    assert_eq!(verdict("fixed_four_mixing", BatchingChoice::On).axis, Fixed(4));
    let impossible = verdict("scalar", BatchingChoice::On);
    assert_eq!(impossible.axis, None);
    assert!(impossible.reason.contains("cannot be followed: the input `x` is a scalar"), "{}", impossible.reason);
}

#[test]
fn a_sample_is_something_that_the_model_runs_with() {
    for name in
        ["iris", "tokens", "poison", "scalar", "fixed_four", "time_axis", "many_inputs_and_outputs", "no_inputs"]
    {
        let mut session = open(name);
        let axis = decide(&mut session, BatchingChoice::Auto).axis;
        let inputs = sample(&mut session, axis).unwrap();
        let rows = (axis != None).then_some(0..1);
        session.run(&inputs, rows).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
