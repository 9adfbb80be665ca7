// EventDecoder: from a verified body to what it says. Runs on the trigger workers, after the delivery is durable.
//
// Total: whatever the bytes are, an `Event` comes out, and what could not be read is absent. A member counts only when it
// stands where its sender puts it and is a string; of members with the same name the first counts.
//
// Sources: docs.github.com "Webhook events and payloads" (push, create, delete), docs.gitea.com "Webhooks",
// docs.gitlab.com "Webhook events" (push, tag push).

/// The meaning of a verified delivery. Never throws, never traps; memory is bounded by `JSONDocument`.
///
/// - Parameters:
///   - eventKind: the sender's event header, taken over as it is; empty counts as absent.
///   - contentType: the Content-Type field; a form body is unwrapped for all but GitLab.
///   - body: as it was received and verified.
public func decodeEvent(
    sender: SenderType, eventKind: String?, contentType: String?, body: UnsafeRawBufferPointer
) -> Event {
    var event = Event(kind: eventKind.flatMap { $0.isEmpty ? nil : $0 })
    if sender != .gitlab, isForm(contentType) {
        guard let payload = unsafe FormPayload.decode(body) else { return event }
        unsafe payload.withUnsafeBytes { unsafe read($0, sender: sender, into: &event) }
    } else {
        unsafe read(body, sender: sender, into: &event)
    }
    return event
}

private func read(_ json: UnsafeRawBufferPointer, sender: SenderType, into event: inout Event) {
    guard let document = unsafe JSONDocument(json) else { return }
    switch sender {
    case .github: readGitHub(document, into: &event)
    case .gitlab: readGitLab(document, into: &event)
    default:
        // Often a git host behind a hook of its own making: GitLab's shape is the one with a project.
        if document.text("/project/path_with_namespace") != nil {
            readGitLab(document, into: &event)
        } else {
            readGitHub(document, into: &event)
        }
    }
}

/// GitHub, Gitea, Forgejo.
private func readGitHub(_ document: borrowing JSONDocument, into event: inout Event) {
    event.repository = document.text("/repository/full_name")
    event.repositoryURL = document.text("/repository/clone_url")
    event.repositoryURLs = [
        event.repositoryURL, document.text("/repository/ssh_url"), document.text("/repository/html_url"),
        document.text("/repository/git_url"),
    ].compactMap { $0 }
    readPackage(document, into: &event)
    event.ref = document.text("/ref")
    if let name = event.ref, !name.hasPrefix("refs/") {
        // `create` and `delete` name a branch or tag without its prefix, and say beside it which it is.
        switch document.text("/ref_type") {
        case "branch": event.ref = "refs/heads/" + name
        case "tag": event.ref = "refs/tags/" + name
        default: break
        }
    }
    event.commit = commit(document.text("/after")) ?? commit(document.text("/head_commit/id"))
    event.isDeletion = event.kind == "delete" || isZero(document.text("/after"))
}

/// GitHub's `package` and `registry_package` events of the container registry: an image and, mostly, its tag. The version's
/// `package_url` is the image's reference as one pulls it (`ghcr.io/owner/name:tag`, the tag may be empty).
private func readPackage(_ document: borrowing JSONDocument, into event: inout Event) {
    let reference: String?
    switch event.kind {
    case "package":
        reference = document.text("/package/package_version/package_url")
        event.tag = document.text("/package/package_version/container_metadata/tag/name")
        event.digest = document.text("/package/package_version/version")
    case "registry_package":
        reference = document.text("/registry_package/package_version/package_url")
        event.tag = document.text("/registry_package/package_version/container_metadata/tag/name")
        event.digest = document.text("/registry_package/package_version/version")
    default: return
    }
    // Packages of other kinds have URLs of other kinds, or none.
    guard let reference, !reference.contains("://"), let slash = reference.firstIndex(of: "/"),
        reference[..<slash].contains(".")
    else {
        event.tag = nil
        event.digest = nil
        return
    }
    let image = ImageEvent(reference: reference)
    event.image = image.image?.lowercased()
    event.tag = event.tag ?? image.tag.flatMap { $0.isEmpty ? nil : $0 }
    event.digest = event.digest?.validDigest
    event.images = [ImageEvent(image: event.image, tag: event.tag, digest: event.digest)]
}

private func readGitLab(_ document: borrowing JSONDocument, into event: inout Event) {
    event.repository = document.text("/project/path_with_namespace")
    event.repositoryURL = document.text("/project/git_http_url")
    event.repositoryURLs = [
        event.repositoryURL, document.text("/project/git_ssh_url"), document.text("/project/web_url"),
    ].compactMap { $0 }
    event.ref = document.text("/ref")
    // Of an annotated tag `after` is the tag object, `checkout_sha` the commit.
    event.commit = commit(document.text("/checkout_sha")) ?? commit(document.text("/after"))
    event.isDeletion = isZero(document.text("/after"))
}

/// nil for the all-zero hash, with which a deletion says that there is no commit after it.
private func commit(_ text: String?) -> String? {
    guard let text, text.utf8.contains(where: { $0 != UInt8(ascii: "0") }) else { return nil }
    return text
}

/// The hash that stands for no commit.
private func isZero(_ text: String?) -> Bool {
    guard let text, !text.isEmpty else { return false }
    return text.utf8.allSatisfy { $0 == UInt8(ascii: "0") }
}

/// Media type application/x-www-form-urlencoded, in any case, with or without parameters.
private func isForm(_ contentType: String?) -> Bool {
    guard let contentType else { return false }
    let mediaType = contentType.prefix { $0 != ";" }
    return mediaType.lowercased().split(separator: " ", omittingEmptySubsequences: true)
        == ["application/x-www-form-urlencoded"]
}
