//! The exit settings that `--exits` lists.

use mue_bench::load::ExitSetting;

/// Reads settings with commas between them. `mue caption --exit` has commas between the thresholds
/// of one setting, so that what looks like these is refused.
pub(super) fn exit_settings(list: &str) -> Result<Vec<ExitSetting>, String> {
    let settings = list.split(',').map(str::parse::<ExitSetting>).collect::<Result<Vec<_>, _>>();
    let settings = settings.map_err(|error| error.to_string())?;
    let mut neighbours = settings.iter().zip(settings.iter().skip(1));
    match neighbours.find(|(one, next)| look_like_one(one, next)) {
        Some((one, next)) => Err(format!(
            "join the thresholds of one setting by `+`: {one}+{next}; for two settings, give --exits \
             twice"
        )),
        None => Ok(settings),
    }
}

/// Whether both are a threshold alone, of different branches.
fn look_like_one(one: &ExitSetting, next: &ExitSetting) -> bool {
    one.only_branch().zip(next.only_branch()).is_some_and(|(one, next)| one != next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_of_one_setting_are_not_taken_for_several() {
        for (list, count) in [
            ("off", 1),
            ("off,auto,quality=0.99", 3),
            ("image=0.9,image=0.95", 2),
            ("image=0.9+decoder=0.95,image=0.9", 2),
            ("image=0.9,off,decoder=0.95", 3),
        ] {
            assert_eq!(exit_settings(list).unwrap().len(), count, "{list}");
        }
        for list in ["image=0.9,decoder=0.95", "off,text=0.5,decoder=1"] {
            assert!(exit_settings(list).unwrap_err().contains("by `+`"), "{list}");
        }
    }
}
