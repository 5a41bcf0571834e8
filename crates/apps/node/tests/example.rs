//! The example of the README pays.

#[path = "../examples/pay.rs"]
mod pay;

#[test]
fn the_example_makes_its_payment() {
    pay::main().expect("the payment is made");
}
