//! The vocabulary of status conditions: types and reasons, each a closed enum with a stable name.
//!
//! Code, documentation and tests all take the names from here.

use std::fmt;

/// Declares an enum whose variants are names that users see.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $enum { $($(#[$variant_doc])* $variant,)* }

        impl $enum {
            /// Every one of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name that users see.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant),)* }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// Types of the conditions of a Distribution.
    ConditionType {
        /// This generation is valid and what it refers to exists.
        Accepted,
        /// Every edge in every wanted zone serves the revision of this generation.
        Deployed,
        /// Every wanted zone has at least one ready edge on the current revision.
        Ready,
    }
}

names! {
    /// Reasons of conditions and of problems.
    Reason {
        // Accepted is True.
        /// The specification is valid.
        Valid,

        // Accepted is False: what is wrong with the manifest or object.
        /// The text is not YAML, or not one that can be read safely.
        SyntaxError,
        /// A document of `proxima.dev` is of a kind or version that this build does not know.
        UnknownKind,
        /// Two documents describe the same object.
        DuplicateObject,
        /// A field that does not exist.
        UnknownField,
        /// A field that must be there is missing.
        MissingField,
        /// A value of the wrong type, such as a number for a text.
        WrongType,
        /// A value outside its bounds or its list of allowed values.
        InvalidValue,
        /// A list names the same thing twice.
        DuplicateItem,
        /// A rule between fields is broken.
        RuleViolated,
        /// A behaviour names an origin that does not exist.
        OriginNotFound,
        /// Local mode was not told where a Service is.
        ServiceNotMapped,
        /// An origin names a Service that does not exist in the Distribution's namespace.
        ServiceNotFound,
        /// An origin names a port that its Service does not have.
        ServicePortNotFound,
        /// A ConfigMap that the specification refers to does not exist in the Distribution's namespace.
        ConfigMapNotFound,
        /// A ConfigMap's certificate authorities cannot be used: no such key, no certificate, or one that cannot be read.
        CaBundleInvalid,
        /// The memory limit of an edge is below what its cache needs.
        MemoryLimitTooLow,
        /// The compiled configuration does not fit into the ConfigMap that edges start from.
        ConfigTooLarge,
        /// What it refers to could not be read yet, so that nothing can be said of it.
        NotJudged,
        /// The edge's own compiler refuses the configuration.
        NotServable,

        // Deployed.
        /// Every edge serves the revision.
        EdgesCurrent,
        /// Some edges have not confirmed the revision yet.
        EdgesPending,
        /// Some edges cannot be reached.
        EdgesUnreachable,
        /// Some edges refuse the revision.
        EdgesRefuse,

        // Ready.
        /// Every zone has a ready edge.
        ZonesReady,
        /// Some zones have no ready edge.
        ZonesNotReady,
        /// The load balancer has no address yet.
        AddressPending,
        /// Pods of edges cannot be made, or end again and again.
        PodsFailing,

        // Deployed and Ready.
        /// An object of somebody else has the name that one of the edges' objects needs.
        ChildConflict,
        /// Objects of a deleted Distribution of the same name are still being removed.
        PredecessorTerminating,
        /// Some of the edges' objects could not be written.
        NotApplied,
        /// No node of the cluster is one that edges may run on.
        NoEligibleZone,
        /// The specification is not valid; see the condition Accepted.
        NotAccepted,
    }
}
