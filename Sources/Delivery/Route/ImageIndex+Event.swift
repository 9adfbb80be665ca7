// ImageIndex+Event: what reads the image of an event that came through a Hook.

extension ImageIndex {
    /// The objects to be refreshed for the event's image; none when it names no image.
    public func refreshes(of event: Event) -> [KpackRefresh] {
        let images =
            event.images.isEmpty
            ? [ImageEvent(image: event.image, tag: event.tag, digest: event.digest)] : event.images
        let changes = images.compactMap { image -> ImageChange? in
            guard let name = image.image, let reference = ImageReference(name, aliases: aliases) else { return nil }
            return ImageChange(
                repository: .named(reference.name), tag: image.tag ?? reference.tag,
                digest: image.digest?.validDigest)
        }
        return outcome(of: changes).refreshes
    }
}
