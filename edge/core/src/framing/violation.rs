//! The closed vocabulary of what makes framing unclear.

macro_rules! violations {
    ($( $(#[$doc:meta])* $name:ident, )*) => {
        /// What is wrong with the bytes. A closed vocabulary: the detail of the access log, and a label of metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Violation { $( $(#[$doc])* $name, )* }

        impl Violation {
            /// Every violation, for metrics.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )* ];

            /// The stable name.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$name => stringify!($name), )* }
            }
        }
    };
}

violations! {
    /// A line feed without a carriage return before it (RFC 9112 § 2.2 lets a lax reader take it for the end of a line).
    BareLineFeed,
    /// A carriage return without a line feed after it.
    BareCarriageReturn,
    /// NUL or another control character.
    ControlCharacter,
    /// More empty lines before a request than the one that old clients send.
    EmptyLines,
    /// A request line that is not `METHOD target HTTP/1.x`.
    RequestLine,
    /// A fragment in the request target: not for servers, and readers differ in what they make of it.
    Fragment,
    /// A version other than HTTP/1.0 and 1.1, or none (HTTP/0.9).
    Version,
    /// A header line without a colon, or whose name is no token.
    FieldName,
    /// White space between a field's name and its colon, or within the name (RFC 9112 § 5.1).
    SpaceInFieldName,
    /// A line that begins with white space (obs-fold, RFC 9112 § 5.2).
    FoldedField,
    /// Content-Length that is not a number of bytes.
    ContentLengthInvalid,
    /// Content-Length more than once, in one field or in several, equal ones too.
    ContentLengthRepeated,
    /// Transfer-Encoding that is not a single `chunked`, or in HTTP/1.0.
    TransferEncodingInvalid,
    /// Transfer-Encoding and Content-Length in one request (RFC 9112 § 6.1).
    LengthAndCoding,
    /// A line with a chunk's size that has anything beside hexadecimal digits and an extension.
    ChunkSizeInvalid,
    /// A chunk larger than any body.
    ChunkSizeTooLarge,
    /// Chunk extensions beyond [`CHUNK_EXTENSION_BYTES`](crate::limits::CHUNK_EXTENSION_BYTES).
    ChunkExtensionTooLong,
    /// A chunk that is not followed by an empty line end.
    ChunkEnd,
}
