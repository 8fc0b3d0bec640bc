//! Which words a number gets.

use super::*;

fn text(feature: &str, format: Format, words: [&str; 5]) -> FeatureText {
    let some = |words: &str| (!words.is_empty()).then(|| words.to_owned());
    let [zero, low, middle, high, missing] = words;
    FeatureText {
        feature: feature.into(),
        name: some("exercícios entregues").filter(|_| feature == SUBMITTED),
        zero: some(zero),
        low: some(low),
        middle: some(middle),
        high: some(high),
        missing: some(missing),
        format,
    }
}

fn book() -> Phrasebook {
    let texts = [
        text(
            SUBMITTED,
            Format::Count,
            [
                "nenhum exercício entregue< (0 de {assigned})>",
                "poucos exercícios entregues ({value}< de {assigned}>)",
                "exercícios entregues ({value}< de {assigned}>)",
                "muitos exercícios entregues ({value}< de {assigned}>)",
                "",
            ],
        ),
        text(
            "posts",
            Format::Count,
            [
                "nenhuma postagem",
                "poucas ({value})",
                "{value} {value|postagem|postagens}",
                "muitas ({value})",
                "",
            ],
        ),
        text(
            "periods_since_active",
            Format::Since,
            [
                "",
                "",
                "[estar ]sem atividade há {value} {value|período|períodos}<{capped} ou mais>",
                "",
                "",
            ],
        ),
        text(
            "activity_slope",
            Format::Signed,
            ["estável", "queda ({value})", "estável", "alta ({value})", ""],
        ),
        text(
            "activity_rank",
            Format::Rank,
            ["", "abaixo de {complement}", "no meio", "acima de {value}", ""],
        ),
        text(
            "grade_avg",
            Format::Percent,
            [
                "",
                "baixa ({value})",
                "média {value}",
                "alta ({value})",
                "[estar ]sem nota",
            ],
        ),
        text(
            "_lag1",
            Format::Count,
            [
                "",
                "",
                "{phrase} no período anterior",
                "",
                "[estar ]sem registro de {name} no período anterior",
            ],
        ),
        text("_lag", Format::Count, ["", "", "{phrase} {lag} períodos antes", "", ""]),
        text(
            "_sum",
            Format::Count,
            ["", "", "{phrase} nos últimos {window} períodos", "", ""],
        ),
        text("_despite", Format::Count, ["", "", "apesar de {phrase}", "", ""]),
        text(
            "days_early",
            Format::Signed,
            [
                "no dia do prazo",
                "{size} {size|dia|dias} depois do prazo",
                "no dia do prazo",
                "{size} {size|dia|dias} antes do prazo",
                "",
            ],
        ),
        text(
            "sum_rank",
            Format::Rank,
            ["", "baixa ({percentile})", "no meio", "alta ({percentile})", ""],
        ),
        text("_activity_in", Format::Count, ["", "", "{value} em {name}", "", ""]),
        text("_kind_quiz", Format::Count, ["", "", "testes", "", ""]),
    ];
    let typical = Some(Typical { low: 1.0, high: 4.0 });
    let columns = COLUMNS.map(String::from);
    let share = Some(Typical { low: 0.7, high: 0.9 });
    let known = [
        None, typical, typical, typical, None, None, None, share, None, typical, typical, None, None, None, None,
    ];
    Phrasebook::new(Language::Portuguese, &texts, &columns, &known, 5)
}

const COLUMNS: [&str; 15] = [
    "assigned_exercises",
    SUBMITTED,
    "posts",
    "posts_lag2",
    "periods_since_active",
    "activity_slope",
    "activity_rank",
    "grade_avg",
    "bairro",
    "submitted_exercises_sum",
    "submitted_exercises_lag1",
    "days_early",
    "sum_rank",
    "activity_in_quiz",
    "activity_in_novo",
];

/// With seven exercises to be handed in.
fn say(column: &str, value: f64, supports: bool) -> String {
    let at = COLUMNS.iter().position(|name| *name == column).unwrap();
    book().reason(at, Value::Number(value), &|_| 7.0, supports)
}

#[test]
fn numbers_are_called_little_or_much_by_what_is_usual_and_by_what_was_asked() {
    assert_eq!(say(SUBMITTED, 0.0, true), "nenhum exercício entregue (0 de 7)");
    assert_eq!(say(SUBMITTED, 1.0, true), "poucos exercícios entregues (1 de 7)");
    assert_eq!(say(SUBMITTED, 7.0, true), "muitos exercícios entregues (7 de 7)");
    // fewer than half and yet as many as the best: neither
    assert_eq!(say(SUBMITTED, 3.0, true), "poucos exercícios entregues (3 de 7)");
    assert_eq!(
        book().reason(1, Value::Number(2.0), &|_| f64::NAN, true),
        "exercícios entregues (2)"
    );
    assert_eq!(
        book().reason(1, Value::Number(4.0), &|_| 30.0, true),
        "exercícios entregues (4 de 30)"
    );
    assert_eq!(say("posts", 0.0, true), "nenhuma postagem");
    assert_eq!(say("posts", 1.0, true), "poucas (1)");
    assert_eq!(say("posts", 2.0, true), "2 postagens");
    assert_eq!(say("posts", 4.0, true), "muitas (4)");
}

#[test]
fn one_is_singular_and_the_longest_ago_is_at_least_so_long() {
    assert_eq!(say("periods_since_active", 1.0, true), "sem atividade há 1 período");
    assert_eq!(say("periods_since_active", 3.0, true), "sem atividade há 3 períodos");
    assert_eq!(
        say("periods_since_active", 5.0, true),
        "sem atividade há 5 períodos ou mais"
    );
    assert_eq!(
        say("periods_since_active", 1.0, false),
        "apesar de estar sem atividade há 1 período"
    );
}

#[test]
fn direction_place_and_share_have_their_own_words() {
    assert_eq!(say("activity_slope", -4.0, true), "queda (-4)");
    assert_eq!(say("activity_slope", 0.25, false), "apesar de alta (+0,2)");
    assert_eq!(say("activity_slope", 0.001, true), "estável");
    assert_eq!(say("activity_rank", 0.9, true), "acima de 90 %");
    assert_eq!(say("activity_rank", 0.2, true), "abaixo de 80 %");
    assert_eq!(say("activity_rank", 0.5, true), "no meio");
    // below what is usual, but not low; without a grade
    assert_eq!(say("grade_avg", 0.68, true), "média 68 %");
    assert_eq!(say("grade_avg", 0.3, true), "baixa (30 %)");
    assert_eq!(say("grade_avg", f64::NAN, false), "apesar de estar sem nota");
}

#[test]
fn what_words_say_already_the_number_does_not_repeat_as_a_sign() {
    // "2 days after", never "after (-2 days)"
    assert_eq!(say("days_early", -2.0, true), "2 dias depois do prazo");
    assert_eq!(say("days_early", -1.0, true), "1 dia depois do prazo");
    assert_eq!(say("days_early", 8.0, false), "apesar de 8 dias antes do prazo");
    assert_eq!(say("days_early", 0.0, true), "no dia do prazo");
    // a rank counts half of those alike: where one half is idle, the idle are at 25, and yet not below 75 % of the class
    assert_eq!(say("sum_rank", 0.25, true), "baixa (25)");
    assert_eq!(say("sum_rank", 0.996, true), "alta (100)");
}

#[test]
fn kinds_of_lectures_are_called_what_the_table_calls_them() {
    assert_eq!(say("activity_in_quiz", 3.0, true), "3 em testes");
    assert_eq!(say("activity_in_novo", 3.0, true), "3 em novo");
}

#[test]
fn measures_of_other_periods_say_when() {
    assert_eq!(say("posts_lag2", 1.0, true), "poucas (1) 2 períodos antes");
    assert_eq!(
        say("submitted_exercises_sum", 0.0, true),
        "nenhum exercício entregue (0 de 7) nos últimos 5 períodos"
    );
    let missing = "sem registro de exercícios entregues no período anterior";
    assert_eq!(say("submitted_exercises_lag1", f64::NAN, true), missing);
    assert_eq!(
        say("submitted_exercises_lag1", f64::NAN, false),
        format!("apesar de estar {missing}")
    );
}

#[test]
fn features_without_words_are_named() {
    let book = book();
    assert_eq!(
        book.reason(8, Value::Category(Some("Centro")), &|_| 0.0, true),
        "bairro: Centro"
    );
    assert_eq!(
        book.reason(0, Value::Number(7.0), &|_| 0.0, true),
        "assigned_exercises: 7"
    );
    assert_eq!(book.reason(8, Value::Category(None), &|_| 0.0, true), "bairro: ?");
    assert_eq!(book.reason(99, Value::Number(1.0), &|_| 0.0, true), "");
}
