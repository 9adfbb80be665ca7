// Fuzzes the parser of image references: any text is one or none, its parts are well formed and bounded, and what was parsed, written
// out and parsed again is the same.

import Delivery
import FuzzDriver

@main
enum FuzzImage {
    static func main() {
        runFuzzer { data, count in
            FuzzImage.test(UnsafeRawBufferPointer(start: data, count: count))
            return 0
        }
    }

    private static let aliases = HostAliases(["registry.example.com": "mirror.example.com:5000", "localhost:5000": "h"])

    /// `bytes` is a reference; its lines are also taken as host, repository, tag and digest.
    static func test(_ bytes: UnsafeRawBufferPointer) {
        let text = String(decoding: bytes, as: UTF8.self)
        if let image = ImageReference(text) {
            test(image)
            check(image.tag != nil || image.digest != nil, "neither tag nor digest")
            // A host of one word is one only beside its port, and `:443` is dropped; `library/` may make a name too long to be read.
            let hasHost = image.host.contains { ".:".contains($0) } || image.host == "localhost"
            if hasHost, image.repository.utf8.count <= 255 {
                check(ImageReference(image.description) == image, "\(image) is read as something else")
            }
        }
        if let image = ImageReference(text, aliases: aliases) { test(image) }
        let parts = text.split(separator: "\n", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1 else { return }
        let tag = parts.count > 2 ? parts[2] : nil
        let digest = parts.count > 3 ? parts[3] : nil
        if let image = ImageReference(host: parts[0], repository: parts[1], tag: tag, digest: digest, aliases: aliases)
        {
            test(image)
        }
    }

    private static func test(_ image: ImageReference) {
        check((1...261).contains(image.host.utf8.count), "a host of \(image.host.utf8.count) bytes")
        // `library/` may have been put before it.
        check((2...263).contains(image.repository.utf8.count), "a repository of \(image.repository.utf8.count) bytes")
        check((1...128).contains(image.tag?.utf8.count ?? 1), "a tag of \(image.tag!.utf8.count) bytes")
        check((1...256).contains(image.digest?.utf8.count ?? 1), "a digest of \(image.digest!.utf8.count) bytes")
        check(image.isPinned == (image.digest != nil), "pinned without a digest")
        check(image.description.utf8.allSatisfy { (0x21...0x7e).contains($0) }, "a byte that no reference holds")
        check(!image.name.contains("@"), "a digest in the name")
    }
}
