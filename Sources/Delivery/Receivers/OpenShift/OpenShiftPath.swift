// OpenShiftPath: the parts of a BuildConfig webhook's path.
//
//     /apis/build.openshift.io/v1/namespaces/{namespace}/buildconfigs/{name}/webhooks/{secret}/{type}
//     /oapi/v1/namespaces/{namespace}/buildconfigs/{name}/webhooks/{secret}/{type}                      (OpenShift 3)
//     /osapi/v1beta1/buildConfigHooks/{name}/{secret}/{type}?namespace={namespace}                      (its betas)
//
// As in the API server the path is decoded first and split then, so a secret cannot hold a slash. Profile `grapnel` splits what
// follows `webhooks` first and decodes then, and forgives one slash at the end.

struct OpenShiftPath {
    static let prefixes = ["/apis/build.openshift.io/", "/oapi/v1/", "/osapi/v1beta1/buildConfigHooks/"]

    let namespace: String
    let name: String
    private let decoded: PercentDecoded
    private let encoded: [UInt8]
    /// Where `decoded` goes on behind `webhooks`, or behind the name in the oldest form.
    private let tail: Int

    enum Failure: Error {
        /// Escapes are broken.
        case malformed
        /// Not the path of a webhook.
        case elsewhere
    }

    /// `query` matters to the oldest form alone, which names the namespace there.
    init(_ path: String, query: String? = nil) throws(Failure) {
        encoded = Array(path.utf8)
        guard let decoded = PercentDecoded(encoded) else { throw .malformed }
        self.decoded = decoded
        let bytes = decoded.bytes
        let roots: [[String]] = [["apis", "build.openshift.io", "v1"], ["oapi", "v1"]]
        for root in roots {
            // Root, namespaces, its name, buildconfigs, its name, webhooks; nothing behind that is split here.
            let pieces = bytes.split(
                separator: UInt8(ascii: "/"), maxSplits: root.count + 6, omittingEmptySubsequences: false)
            guard pieces.count >= root.count + 6, pieces[0].isEmpty,
                zip(root, pieces.dropFirst()).allSatisfy({ $0.utf8.elementsEqual($1) })
            else { continue }
            let rest = pieces.dropFirst(1 + root.count)
            let first = rest.startIndex
            guard rest[first].elementsEqual("namespaces".utf8), rest[first + 2].elementsEqual("buildconfigs".utf8),
                rest[first + 4].elementsEqual("webhooks".utf8), !rest[first + 1].isEmpty, !rest[first + 3].isEmpty,
                let namespace = String(validating: rest[first + 1], as: UTF8.self),
                let name = String(validating: rest[first + 3], as: UTF8.self)
            else { continue }
            self.namespace = namespace
            self.name = name
            tail = rest[first + 4].endIndex
            return
        }
        let pieces = bytes.split(separator: UInt8(ascii: "/"), maxSplits: 5, omittingEmptySubsequences: false)
        guard pieces.count >= 5, pieces[0].isEmpty,
            zip(["osapi", "v1beta1", "buildConfigHooks"], pieces.dropFirst()).allSatisfy({ $0.utf8.elementsEqual($1) }),
            let name = String(validating: pieces[4], as: UTF8.self), !name.isEmpty,
            let namespace = Self.namespace(query)
        else { throw .elsewhere }
        self.namespace = namespace
        self.name = name
        tail = pieces[4].endIndex
    }

    /// The first parameter `namespace` of a query.
    private static func namespace(_ query: String?) -> String? {
        for pair in (query ?? "").utf8.split(separator: UInt8(ascii: "&")) {
            let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0].elementsEqual("namespace".utf8) else { continue }
            guard let value = PercentDecoded(parts[1], plusIsSpace: true), !value.bytes.isEmpty else { return nil }
            return String(validating: value.bytes, as: UTF8.self)
        }
        return nil
    }

    static func routePath(namespace: String, name: String) -> String {
        "/apis/build.openshift.io/v1/namespaces/\(namespace)/buildconfigs/\(name)/webhooks"
    }

    /// Secret and type, and where they stand in the path.
    struct Hook {
        let secret: ArraySlice<UInt8>
        /// UTF-8 offsets within the encoded path.
        let secretRange: Range<Int>
        let type: ArraySlice<UInt8>
        let typeRange: Range<Int>
    }

    /// nil when there are not exactly two parts. An empty secret is none.
    func hook(_ profile: OpenShiftProfile) -> Hook? {
        if profile == .grapnel, let hook = splitThenDecoded() { return hook }
        return decodedThenSplit()
    }

    private func decodedThenSplit() -> Hook? {
        let parts = Self.parts(of: decoded.bytes[tail...])
        guard parts.count == 2, !parts[0].isEmpty else { return nil }
        return Hook(
            secret: parts[0], secretRange: decoded.encoded(parts[0].indices), type: parts[1],
            typeRange: decoded.encoded(parts[1].indices))
    }

    private func splitThenDecoded() -> Hook? {
        let start = decoded.encoded(tail..<tail).lowerBound
        var parts = Self.parts(of: encoded[start...])
        if parts.count == 3, parts[2].isEmpty { parts.removeLast() }
        guard parts.count == 2, !parts[0].isEmpty, let secret = PercentDecoded(parts[0]),
            let type = PercentDecoded(parts[1])
        else { return nil }
        return Hook(
            secret: secret.bytes[...], secretRange: parts[0].indices, type: type.bytes[...],
            typeRange: parts[1].indices)
    }

    /// Without one leading slash, at most four parts: more are as wrong as four.
    private static func parts(of tail: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        let slash = UInt8(ascii: "/")
        let rest = tail.first == slash ? tail.dropFirst() : tail
        return rest.split(separator: slash, maxSplits: 3, omittingEmptySubsequences: false)
    }
}
