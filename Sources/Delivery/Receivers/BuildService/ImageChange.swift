// ImageChange: an image of which a sender says that it changed, and what a whole body says.

/// A tag that may point at something else now.
struct ImageChange: Sendable, Equatable {
    /// Where the image lies, as exactly as the sender tells. All parts are checked and normalised.
    enum Repository: Sendable, Hashable {
        /// Host and repository.
        case named(String)
        /// That repository on any host but Docker Hub.
        case anywhere(repository: String)
        /// That repository on any host, but Docker Hub, whose first label is this.
        case labelled(String, repository: String)
    }

    var repository: Repository
    /// nil: every tag of the repository.
    var tag: String?
    /// nil: the sender does not say.
    var digest: String?
}

/// What a body says.
enum BuildServiceMessage: Sendable, Equatable {
    /// `id` names the delivery, `event` is the sender's word for it.
    case changes([ImageChange], event: String, id: String?)
    /// Understood; no image changed.
    case nothing(IgnoredReason, event: String, id: String?)
    /// Not what the sender sends.
    case malformed
    /// A known format that does not say enough.
    case unusable
}

extension String {
    /// A digest as it is compared, or nil.
    var validDigest: String? { ImageReference.isDigest(self) ? self : nil }
}
