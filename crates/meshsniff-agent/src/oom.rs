//! Who is ended first when memory runs short.

use super::talk::Talk;

/// Tells the kernel to end this process before others when memory runs short. It takes no right.
pub(super) fn end_early(score: Option<i16>, talk: Talk) {
    let Some(score) = score else { return };
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", score.to_string()) {
        talk.warn(&format!(
            "when memory runs short, others may be ended before this ({error}): --oom-score-adj \
             has no effect"
        ));
    }
}
