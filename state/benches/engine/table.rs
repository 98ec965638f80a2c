//! One line for each thing measured, printed as it is measured.

use std::time::Duration;

/// Begins the table.
pub fn begin() {
    println!("| what | measured | goal | |\n|---|---|---|---|");
}

/// Something without a goal.
pub fn fact(what: &str, measured: &str) {
    println!("| {what} | {measured} | | |");
}

/// Something with one.
pub fn against(what: &str, measured: &str, goal: &str, met: bool) {
    println!("| {what} | {measured} | {goal} | {} |", if met { "met" } else { "**missed**" });
}

/// `12.3 ms`.
pub fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

/// `1234 steps/s`.
pub fn rate(count: usize, time: Duration) -> String {
    format!("{:.0} steps/s", per_second(count, time))
}

/// How many in a second.
pub fn per_second(count: usize, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// The middle one of an odd number of measurements.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The median and the range it lies in: `12.3 ms (11.0 ms–20.1 ms)`.
pub fn spread(times: &[Duration]) -> String {
    let (least, most) = (times.iter().min(), times.iter().max());
    let range =
        least.zip(most).map_or_else(String::new, |(least, most)| format!(" ({}–{})", ms(*least), ms(*most)));
    format!("{}{range}", ms(median(times.to_vec())))
}
