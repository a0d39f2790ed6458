#[test]
fn show() {
    let e = super::load(
        "/tmp/cfg/s1.yaml".as_ref(),
        &["/tmp/cfg/p1.yaml".into(), "/tmp/cfg/p2.yaml".into(), "/nix".into()],
    )
    .unwrap_err();
    println!("{e}");
}
