//! Texts compared as people mean them: case, accents, punctuation and spaces aside.

use unicode_normalization::char::is_combining_mark;
use unicode_normalization::UnicodeNormalization;

/// Longest text that is folded; nothing that has to be recognised is longer.
const LONGEST: usize = 1000;

/// Words in lower case without accents, one space between them: `Nº  Av.` is `n av`, `FASE_IDEAL` is `fase ideal`.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len().min(LONGEST));
    let mut gap = false;
    let kept = text.chars().take(LONGEST).filter(|c| !matches!(c, 'º' | 'ª' | '°'));
    for character in kept.nfkd().filter(|c| !is_combining_mark(*c)) {
        if character.is_alphanumeric() {
            if gap && !folded.is_empty() {
                folded.push(' ');
            }
            gap = false;
            folded.extend(character.to_lowercase());
        } else {
            gap = true;
        }
    }
    folded
}

/// The year at the end of a folded header and what stands before it: `inde 22` and `inde2022` are `inde` of 2022.
pub(super) fn split_year(folded: &str) -> Option<(&str, i32)> {
    let digits = folded.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (base, year) = folded.split_at_checked(folded.len() - digits)?;
    let year = match digits {
        4 => year.parse().ok().filter(|year| (1900..2100).contains(year))?,
        2 if base.ends_with(' ') => 2000 + year.parse::<i32>().ok()?,
        _ => return None,
    };
    let base = base.trim_end();
    (!base.is_empty()).then_some((base, year))
}

/// The year that a name of a file or sheet says; none where it says several.
pub(super) fn year_of_name(name: &str) -> Option<i32> {
    let mut years: Vec<i32> = name
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() == 4)
        .filter_map(|digits| digits.parse().ok())
        .filter(|year| (1900..2100).contains(year))
        .collect();
    years.sort_unstable();
    years.dedup();
    match years[..] {
        [year] => Some(year),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_drift_are_one() {
        for (text, expected) in [
            ("Gênero", "genero"),
            (" Instituição  de ensino ", "instituicao de ensino"),
            ("Nº Av", "n av"),
            ("N° Av.", "n av"),
            ("FASE_IDEAL", "fase ideal"),
            ("Ativo/ Inativo", "ativo inativo"),
            ("Ge\u{302}nero", "genero"),
            ("\u{feff}RA", "ra"),
            ("ＲＡ", "ra"),
            ("---", ""),
        ] {
            assert_eq!(fold(text), expected, "{text}");
        }
    }

    #[test]
    fn years_of_headers_and_names() {
        assert_eq!(split_year("inde 22"), Some(("inde", 2022)));
        assert_eq!(split_year("inde 2023"), Some(("inde", 2023)));
        assert_eq!(split_year("inde2023"), Some(("inde", 2023)));
        assert_eq!(split_year("rec ava 1 2022"), Some(("rec ava 1", 2022)));
        for none in ["rec av1", "inde", "2022", "inde22", "x 123", "x 1022"] {
            assert_eq!(split_year(none), None, "{none}");
        }
        assert_eq!(year_of_name("PEDE2022"), Some(2022));
        assert_eq!(year_of_name("notas-2023-2023.csv"), Some(2023));
        assert_eq!(year_of_name("pede_2020_2022_wide.csv"), None);
        assert_eq!(year_of_name("Plan1"), None);
    }
}
