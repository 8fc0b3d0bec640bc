//! What was found, in words.

use super::report::{Leak, LeakKind};

impl Leak {
    /// With its sentences.
    pub(super) fn in_words(mut self) -> Self {
        self.pt = self.portuguese();
        self.en = self.english();
        self
    }

    fn english(&self) -> String {
        let (a, b, through) = self.names();
        let auc = self
            .auc
            .map_or(String::new(), |auc| format!(" (AUC {auc:.3} out of fold)"));
        let text = match self.kind {
            LeakKind::Target => format!("the target is computed from {a}"),
            LeakKind::Code => format!("{a} is a code of the target: each of its values stands for one class{auc}"),
            LeakKind::Single => format!("{a} alone gives the target away{auc}"),
            LeakKind::Presence => format!("whether {a} is filled in gives the target away{auc}"),
            LeakKind::Difference => format!("the difference {a} - {b} gives the target away{auc}"),
            LeakKind::Sum => format!("the sum {a} + {b} gives the target away{auc}"),
            LeakKind::Pair => format!("{a} together with {b} gives the target away{auc}"),
            LeakKind::Carrier => format!(
                "{a} contains {through}: with the other columns it gives the target away (AUC {:.3} out of fold, {:.3} without {a})",
                self.auc.unwrap_or(f64::NAN),
                self.auc_without.unwrap_or(f64::NAN)
            ),
            LeakKind::Derived => format!("{a} is a code of {through}, which leaks"),
        };
        if self.allowed {
            format!("{text}; kept, as allowed")
        } else {
            text
        }
    }

    fn portuguese(&self) -> String {
        let (a, b, through) = self.names();
        let number = |x: f64| format!("{x:.3}").replace('.', ",");
        let auc = self
            .auc
            .map_or(String::new(), |auc| format!(" (AUC {} fora da amostra)", number(auc)));
        let text = match self.kind {
            LeakKind::Target => format!("o alvo é calculado a partir de {a}"),
            LeakKind::Code => format!("{a} é um código do alvo: cada valor corresponde a uma classe{auc}"),
            LeakKind::Single => format!("{a} sozinha entrega o alvo{auc}"),
            LeakKind::Presence => format!("estar ou não preenchida {a} entrega o alvo{auc}"),
            LeakKind::Difference => format!("a diferença {a} - {b} entrega o alvo{auc}"),
            LeakKind::Sum => format!("a soma {a} + {b} entrega o alvo{auc}"),
            LeakKind::Pair => format!("{a} junto com {b} entrega o alvo{auc}"),
            LeakKind::Carrier => format!(
                "{a} contém {through}: com as outras colunas entrega o alvo (AUC {} fora da amostra, {} sem {a})",
                number(self.auc.unwrap_or(f64::NAN)),
                number(self.auc_without.unwrap_or(f64::NAN))
            ),
            LeakKind::Derived => format!("{a} é um código de {through}, que entrega o alvo"),
        };
        if self.allowed {
            format!("{text}; mantida, como permitido")
        } else {
            text
        }
    }

    fn names(&self) -> (&str, &str, &str) {
        let name = |at: usize| self.columns.get(at).map_or("", String::as_str);
        (name(0), name(1), self.through.as_deref().unwrap_or(""))
    }
}
