// ImageIndex+Event: what reads the image of an event that came through a Hook.

extension ImageIndex {
    /// The objects to be refreshed for the event's image; none when it names no image.
    public func refreshes(of event: Event) -> [KpackRefresh] {
        guard let image = event.image, let reference = ImageReference(image, aliases: aliases) else { return [] }
        let change = ImageChange(
            repository: .named(reference.name), tag: event.tag ?? reference.tag, digest: event.digest?.validDigest)
        return outcome(of: [change]).refreshes
    }
}
