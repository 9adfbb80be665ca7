// ImageIndex+Event: what reads the image of an event that came through a Hook.

extension ImageIndex {
    /// The objects to be refreshed for the event's image; none when it names no image.
    public func refreshes(of event: Event) -> [KpackRefresh] {
        let changes = event.namedImages.flatMap { image in
            image.places(artifactory).map { place in
                ImageChange(repository: place, tag: image.tag ?? image.ownTag, digest: image.digest?.validDigest)
            }
        }
        return outcome(of: changes).refreshes
    }
}

extension Event {
    /// What the sender says that an image (normalised, with its tag) is now; an entry is nil where it names no digest.
    public func digests(of image: String) -> [String?] {
        namedImages.compactMap { named -> String?? in
            guard let tag = named.tag else { return nil }
            let isMeant =
                switch named.registry {
                case .named: named.image.flatMap { ImageReference($0) }.map { "\($0.name):\(tag)" } == image
                case .unknown, .artifactory:
                    // The host is the index's finding; the end of the name is the sender's.
                    named.image.map { image.hasSuffix("/\($0):\(tag)") } ?? false
                }
            return isMeant ? .some(named.digest?.validDigest) : nil
        }
    }

    /// Every image that the delivery names, however it was decoded.
    var namedImages: [ImageEvent] {
        images.isEmpty ? [ImageEvent(image: image, tag: tag, digest: digest)] : images
    }
}

extension ImageEvent {
    /// Where the image may lie; none when it has no name. An image without a host is looked for everywhere but at Docker Hub.
    func places(_ map: ArtifactoryMap) -> [ImageChange.Repository] {
        switch registry {
        case .named:
            return image.flatMap { ImageReference($0, aliases: map.aliases) }.map { [.named($0.name)] } ?? []
        case .unknown(let others):
            return ([image].compactMap { $0 } + others).map { .anywhere(repository: $0) }
        case .artifactory(let key, let path): return map.places(repoKey: key, image: path)
        }
    }

    /// The tag that a whole name stands for when the sender gives none.
    fileprivate var ownTag: String? {
        guard case .named = registry, let image else { return nil }
        return ImageReference(image)?.tag
    }
}
