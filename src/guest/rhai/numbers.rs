//! Numbers as an alerting engine must treat them: comparisons by IEEE 754.
//!
//! Stock Rhai compares floats with a relative tolerance, by which `inf > 90.0` is false and
//! `0.0 / 0.0 == 0.0` is true. These overloads, together with `fast_operators(false)`, replace
//! that. An integer meets a float as a float. `min` and `max` give the other operand when one is
//! NaN.

use rhai::{FuncRegistration, Module};

use crate::kernel::expr::{float_max, float_min};

/// Registers `$op` for float-float, float-int and int-float.
macro_rules! compare {
    ($module:ident, $name:literal, $op:tt) => {
        own($name).set_into_module($module, |a: f64, b: f64| a $op b);
        own($name).set_into_module($module, |a: f64, b: i64| a $op b as f64);
        own($name).set_into_module($module, |a: i64, b: f64| (a as f64) $op b);
    };
}

macro_rules! choose {
    ($module:ident, $name:literal, $pick:path) => {
        own($name).set_into_module($module, |a: f64, b: f64| $pick(a, b));
        own($name).set_into_module($module, |a: f64, b: i64| $pick(a, b as f64));
        own($name).set_into_module($module, |a: i64, b: f64| $pick(a as f64, b));
    };
}

fn own(name: &str) -> FuncRegistration {
    FuncRegistration::new(name).in_global_namespace()
}

pub fn module() -> Module {
    let mut module = Module::new();
    let to = &mut module;
    compare!(to, "==", ==);
    compare!(to, "!=", !=);
    compare!(to, "<", <);
    compare!(to, "<=", <=);
    compare!(to, ">", >);
    compare!(to, ">=", >=);
    choose!(to, "max", float_max);
    choose!(to, "min", float_min);
    // `count` is a whole number, and nobody should need to know that to round or test it.
    own("to_float").set_into_module(to, |a: f64| a);
    own("is_nan").set_into_module(to, |_: i64| false);
    own("sqrt").set_into_module(to, |a: i64| (a as f64).sqrt());
    own("floor").set_into_module(to, |a: i64| a);
    own("ceiling").set_into_module(to, |a: i64| a);
    module
}
