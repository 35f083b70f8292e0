//! What each operation does to one lane: the one definition, which constants, label facts and
//! whole columns all go through.
//!
//! A lane is 64 bits. A float and a whole number are their own bits; truth is all ones and untruth
//! all zeros, so that choosing between two lanes needs no jump.

pub const TRUE: u64 = u64::MAX;
pub const FALSE: u64 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unary {
    Not,
    FloatNegate,
    FloatAbs,
    Sqrt,
    Floor,
    Ceiling,
    IsNan,
    /// Wraps at the least number, whose opposite is none.
    IntNegate,
    IntAbs,
    IntToFloat,
    /// Towards zero; saturates, and NaN gives 0.
    FloatToInt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Binary {
    /// Bit by bit, for truths and whole numbers alike.
    And,
    Or,
    Xor,
    FloatAdd,
    FloatSubtract,
    FloatMultiply,
    FloatDivide,
    FloatRemainder,
    FloatMax,
    FloatMin,
    FloatEqual,
    FloatLess,
    FloatLessOrEqual,
    /// These wrap; whether they did is an operation of its own, below.
    IntAdd,
    IntSubtract,
    IntMultiply,
    /// Gives 0 where there is no quotient.
    IntDivide,
    IntRemainder,
    IntMax,
    IntMin,
    IntEqual,
    IntLess,
    IntLessOrEqual,
    AddOverflows,
    SubtractOverflows,
    MultiplyOverflows,
    /// By zero, or the least number by -1.
    HasNoQuotient,
    /// Wrong on purpose, so that tests of tests can plant it.
    #[cfg(test)]
    Planted(super::planted::Planted),
}

/// Something that a one-lane function can be applied to.
pub trait OverOne {
    type Out;
    fn apply(self, function: impl Fn(u64) -> u64) -> Self::Out;
}

/// Something that a two-lane function can be applied to.
pub trait OverTwo {
    type Out;
    fn apply(self, function: impl Fn(u64, u64) -> u64) -> Self::Out;
}

/// One lane, now.
pub struct Once<T>(pub T);

impl OverOne for Once<u64> {
    type Out = u64;

    fn apply(self, function: impl Fn(u64) -> u64) -> u64 {
        function(self.0)
    }
}

impl OverTwo for Once<(u64, u64)> {
    type Out = u64;

    fn apply(self, function: impl Fn(u64, u64) -> u64) -> u64 {
        function(self.0.0, self.0.1)
    }
}

/// The greater of two numbers. Of one number and a NaN it is the number, of equals (0.0 and -0.0)
/// the second: IEEE 754 leaves that open, and two machines must not answer differently.
#[inline(always)]
pub fn float_max(a: f64, b: f64) -> f64 {
    if a > b || b.is_nan() { a } else { b }
}

/// The lesser of two numbers, else as [`float_max`].
#[inline(always)]
pub fn float_min(a: f64, b: f64) -> f64 {
    if a < b || b.is_nan() { a } else { b }
}

#[inline(always)]
pub fn unary<R: OverOne>(op: Unary, over: R) -> R::Out {
    match op {
        Unary::Not => over.apply(|a| !a),
        Unary::FloatNegate => over.apply(|a| bits(-float(a))),
        Unary::FloatAbs => over.apply(|a| bits(float(a).abs())),
        Unary::Sqrt => over.apply(|a| bits(float(a).sqrt())),
        Unary::Floor => over.apply(|a| bits(float(a).floor())),
        Unary::Ceiling => over.apply(|a| bits(float(a).ceil())),
        Unary::IsNan => over.apply(|a| truth(float(a).is_nan())),
        Unary::IntNegate => over.apply(|a| whole(int(a).wrapping_neg())),
        Unary::IntAbs => over.apply(|a| whole(int(a).wrapping_abs())),
        Unary::IntToFloat => over.apply(|a| bits(int(a) as f64)),
        Unary::FloatToInt => over.apply(|a| whole(float(a) as i64)),
    }
}

#[inline(always)]
pub fn binary<R: OverTwo>(op: Binary, over: R) -> R::Out {
    match op {
        Binary::And => over.apply(|a, b| a & b),
        Binary::Or => over.apply(|a, b| a | b),
        Binary::Xor => over.apply(|a, b| a ^ b),
        Binary::FloatAdd => over.apply(|a, b| bits(float(a) + float(b))),
        Binary::FloatSubtract => over.apply(|a, b| bits(float(a) - float(b))),
        Binary::FloatMultiply => over.apply(|a, b| bits(float(a) * float(b))),
        Binary::FloatDivide => over.apply(|a, b| bits(float(a) / float(b))),
        Binary::FloatRemainder => over.apply(|a, b| bits(float(a) % float(b))),
        Binary::FloatMax => over.apply(|a, b| bits(float_max(float(a), float(b)))),
        Binary::FloatMin => over.apply(|a, b| bits(float_min(float(a), float(b)))),
        Binary::FloatEqual => over.apply(|a, b| truth(float(a) == float(b))),
        Binary::FloatLess => over.apply(|a, b| truth(float(a) < float(b))),
        Binary::FloatLessOrEqual => over.apply(|a, b| truth(float(a) <= float(b))),
        Binary::IntAdd => over.apply(|a, b| a.wrapping_add(b)),
        Binary::IntSubtract => over.apply(|a, b| a.wrapping_sub(b)),
        Binary::IntMultiply => over.apply(|a, b| a.wrapping_mul(b)),
        Binary::IntDivide => over.apply(|a, b| whole(int(a).checked_div(int(b)).unwrap_or(0))),
        Binary::IntRemainder => over.apply(|a, b| whole(int(a).checked_rem(int(b)).unwrap_or(0))),
        Binary::IntMax => over.apply(|a, b| whole(int(a).max(int(b)))),
        Binary::IntMin => over.apply(|a, b| whole(int(a).min(int(b)))),
        Binary::IntEqual => over.apply(|a, b| truth(a == b)),
        Binary::IntLess => over.apply(|a, b| truth(int(a) < int(b))),
        Binary::IntLessOrEqual => over.apply(|a, b| truth(int(a) <= int(b))),
        // The sum's sign differs from that of both: without a jump, so that columns stay fast.
        Binary::AddOverflows => over.apply(|a, b| {
            let sum = a.wrapping_add(b);
            truth(int((a ^ sum) & (b ^ sum)) < 0)
        }),
        Binary::SubtractOverflows => over.apply(|a, b| {
            let difference = a.wrapping_sub(b);
            truth(int((a ^ b) & (a ^ difference)) < 0)
        }),
        Binary::MultiplyOverflows => over.apply(|a, b| truth(int(a).checked_mul(int(b)).is_none())),
        Binary::HasNoQuotient => over.apply(|a, b| truth(int(a).checked_div(int(b)).is_none())),
        #[cfg(test)]
        Binary::Planted(planted) => over.apply(|a, b| planted.apply(a, b)),
    }
}

/// `yes` where `condition` holds, else `no`.
#[inline(always)]
pub fn select(condition: u64, yes: u64, no: u64) -> u64 {
    (yes & condition) | (no & !condition)
}

#[inline(always)]
pub fn truth(holds: bool) -> u64 {
    if holds { TRUE } else { FALSE }
}

#[inline(always)]
fn float(lane: u64) -> f64 {
    f64::from_bits(lane)
}

#[inline(always)]
fn bits(number: f64) -> u64 {
    number.to_bits()
}

#[inline(always)]
fn int(lane: u64) -> i64 {
    lane as i64
}

#[inline(always)]
fn whole(number: i64) -> u64 {
    number as u64
}
