//! What a session keeps: which things go first, and when.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::rc::Rc;

    use pgrx::prelude::*;

    use crate::guc::memory_limit;
    use crate::model::model_cache::Kept;

    #[pg_test]
    fn kept_things_leave_in_the_order_of_their_use() {
        let most = memory_limit() / 8;
        let mut kept = Kept::new(8);
        for key in 0..3 {
            kept.put(key, &Rc::new(key), most / 3);
        }
        assert_eq!(kept.get(&0).as_deref(), Some(&0));
        kept.put(3, &Rc::new(3), most / 3);
        // nobody asked for 1 for the longest time
        assert_eq!(
            [0, 1, 2, 3].map(|key| kept.get(&key).is_some()),
            [true, false, true, true]
        );
        // what is too large by itself is not kept, and what is put again takes its room once
        kept.put(4, &Rc::new(4), most + 1);
        assert!(kept.get(&4).is_none());
        kept.put(5, &Rc::new(5), most);
        kept.put(5, &Rc::new(6), most);
        assert_eq!(kept.get(&5).as_deref(), Some(&6));
    }
}
