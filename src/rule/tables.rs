//! The tables that a rule names.

use super::Rule;
use super::action::Action;
use super::hand_on::HandOn;
#[cfg(feature = "_store")]
use super::hand_on::Target;
use super::related::Children;

impl Rule {
    /// Returns all children, including those of children.
    pub(crate) fn children(&self) -> Vec<&Children> {
        fn add<'r>(children: &'r [Children], all: &mut Vec<&'r Children>) {
            for one in children {
                all.push(one);
                add(&one.with, all);
            }
        }
        let mut all = Vec::new();
        add(&self.with, &mut all);
        all
    }

    /// Returns the parts that hand rows on, then those that hand on children.
    pub(crate) fn handings(&self) -> impl Iterator<Item = &HandOn> {
        let children = self.children().into_iter();
        let own = self.hand_on.iter();
        own.chain(children.flat_map(|one| &one.hand_on))
    }

    /// Returns the number of such a part, from 0.
    #[cfg(feature = "_store")]
    pub(crate) fn handing_number(&self, part: &HandOn) -> usize {
        let is_it = |one: &HandOn| std::ptr::eq(one, part);
        self.handings().position(is_it).unwrap_or(0)
    }

    /// Returns whether rows or their children are handed on.
    #[cfg(feature = "postgres")]
    pub(crate) fn hands_on(&self) -> bool {
        self.handings().next().is_some()
    }

    /// Returns whether rows or their children are handed on to the outbox.
    #[cfg(feature = "_store")]
    pub(crate) fn hands_on_to_outbox(&self) -> bool {
        self.handings()
            .any(|hand_on| matches!(hand_on.to, Target::Outbox(_)))
    }

    /// Returns the tables that the rule names, as it names them, once each.
    pub(crate) fn tables(&self) -> Vec<&str> {
        let mut names = vec![self.table.as_str()];
        let related = self.when.iter().chain(&self.unless).chain(&self.keeps);
        names.extend(related.map(|related| related.table.as_str()));
        if let Some(activity) = &self.active {
            names.push(&activity.table);
            names.extend(
                activity
                    .through
                    .iter()
                    .map(|through| through.table.as_str()),
            );
        }
        names.extend(self.handings().filter_map(HandOn::table));
        let lifetime = self.due.as_ref().and_then(|due| due.lifetime.as_ref());
        names.extend(lifetime.map(|lifetime| lifetime.table.as_str()));
        if let Some(Action::Archive(archive)) = &self.action {
            names.push(&archive.into);
        }
        let children = self.children().into_iter();
        names.extend(children.map(|one| one.table.as_str()));
        names.sort_unstable();
        names.dedup();
        names
    }
}
