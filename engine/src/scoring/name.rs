//! Names that differ in case, accents and punctuation only.

/// Lower case without accents, runs of anything else than letters and digits as one `_`: `Fase Ideal` and `fase_ideal` are one.
pub fn folded(name: &str) -> String {
    let mut found = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        match plain(letter) {
            Some(plain) => found.push_str(plain),
            None if letter.is_alphanumeric() => found.push(letter),
            None if ('\u{300}'..='\u{36f}').contains(&letter) => {}
            None if !found.is_empty() && !found.ends_with('_') => found.push('_'),
            None => {}
        }
    }
    if found.ends_with('_') {
        found.pop();
    }
    found
}

/// What a letter of Portuguese and its neighbours is without its accent.
fn plain(letter: char) -> Option<&'static str> {
    Some(match letter {
        'á' | 'à' | 'â' | 'ã' | 'ä' | 'å' | 'ª' => "a",
        'é' | 'è' | 'ê' | 'ë' => "e",
        'í' | 'ì' | 'î' | 'ï' => "i",
        'ó' | 'ò' | 'ô' | 'õ' | 'ö' | 'º' => "o",
        'ú' | 'ù' | 'û' | 'ü' => "u",
        'ç' => "c",
        'ñ' => "n",
        'ß' => "ss",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::folded;

    #[test]
    fn spellings_of_one_header_are_one() {
        for spelling in ["Fase Ideal", " fase ideal ", "FASE-IDEAL", "fase_ideal"] {
            assert_eq!(folded(spelling), "fase_ideal");
        }
        assert_eq!(folded("Nº Av"), "no_av");
        assert_eq!(folded("Instituição de ensino"), "instituicao_de_ensino");
        // e and a combining acute accent
        assert_eq!(folded("Ge\u{301}nero"), "genero");
        assert_eq!(folded("--"), "");
    }
}
