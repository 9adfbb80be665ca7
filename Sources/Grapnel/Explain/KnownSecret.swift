// KnownSecret: every secret that the configuration names, with the words for where it stands. Explains a signature that is right for
// another receiver, and keeps secrets out of the output.
//
// The catalog knows the secrets that routes use. A sender may have been given another key of the same Secret, which no route uses, so
// the manifests' Secrets are looked through as well, and the inline secrets of BuildConfigs and S2iBuilders.

import Catalog
import Delivery
import Foundation
import Yams

struct KnownSecret: Sendable {
    let secret: SecretBytes
    /// `key "token" of Secret/team-a/webhook`.
    let place: String
    /// The Secret, `team-a/webhook`; nil for one that stands elsewhere.
    var object: String?
    /// The receivers that it proves deliveries to.
    var owners: [RouteIdentity]
}

struct KnownSecrets: Sendable {
    private(set) var all: [KnownSecret] = []
    private var index: [String: Int] = [:]

    init() {}

    /// Those of the routes, of the manifests and of the settings.
    init(_ snapshot: CatalogSnapshot, manifests: [String] = [], settings: BuildServiceSettings? = nil) {
        for route in snapshot.routes {
            let places = snapshot.secretPlaces[route.identity] ?? []
            for (number, secret) in route.secrets.enumerated() {
                let place = number < places.count ? places[number] : "secret \(number + 1) of \(route.identity)"
                add(secret, place, object: Self.object(in: place), owner: route.identity)
            }
        }
        for directory in manifests { scan(directory, depth: 0) }
        for endpoint in settings == nil ? [] : BuildServiceEndpoint.allCases {
            for credential in settings?.credentials(of: endpoint) ?? [] {
                guard let secret = credential.secret else { continue }
                add(
                    secret, "a credential of buildService.auth for \(endpoint.name)", owner: endpoint.identity(),
                    isDistinct: true)
            }
        }
    }

    func of(_ route: RouteIdentity) -> [KnownSecret] { all.filter { $0.owners.contains(route) } }

    mutating func add(
        _ secret: SecretBytes, _ place: String, object: String? = nil, owner: RouteIdentity? = nil,
        isDistinct: Bool = false
    ) {
        guard !secret.isEmpty else { return }
        let key = isDistinct ? "\(place) \(all.count)" : place
        if let known = index[key] {
            if let owner, !all[known].owners.contains(owner) { all[known].owners.append(owner) }
            return
        }
        index[key] = all.count
        all.append(KnownSecret(secret: secret, place: place, object: object, owners: owner.map { [$0] } ?? []))
    }

    // MARK: - Manifests

    private static let fileBytesMax = 8 << 20
    private static let depthMax = 16

    private mutating func scan(_ path: String, depth: Int) {
        var isDirectory: ObjCBool = false
        guard depth < Self.depthMax,
            unsafe FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory)
        else { return }
        if isDirectory.boolValue {
            let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
            for name in names.sorted() where !name.hasPrefix(".") { scan(path + "/" + name, depth: depth + 1) }
            return
        }
        guard [".yaml", ".yml", ".json"].contains(where: path.hasSuffix),
            case .success(let bytes) = SmallFile.read(path, bytesMax: Self.fileBytesMax),
            let documents = try? Yams.compose_all(yaml: String(decoding: bytes, as: UTF8.self))
        else { return }
        // The catalog has reported what cannot be read; what stood before it counts.
        for document in documents { add(document) }
    }

    private mutating func add(_ document: Node) {
        guard let kind = document["kind"]?.string else { return }
        if kind == "List" {
            for item in document["items"]?.array() ?? [] { add(item) }
            return
        }
        guard let name = document["metadata"]?["name"]?.string else { return }
        let namespace = document["metadata"]?["namespace"]?.string ?? "default"
        switch kind {
        case "Secret":
            for (member, isEncoded) in [("data", true), ("stringData", false)] {
                for (key, value) in document[member]?.mapping ?? [:] {
                    guard let key = key.string, let text = value.scalar?.string else { continue }
                    let bytes =
                        isEncoded
                        ? Data(base64Encoded: text.filter { !$0.isWhitespace }).map { [UInt8]($0) } : Array(text.utf8)
                    add(
                        SecretBytes(bytes ?? []), "key \(quoted(key)) of Secret/\(namespace)/\(name)",
                        object: "\(namespace)/\(name)")
                }
            }
        case "BuildConfig":
            let owner = RouteIdentity(kind: .buildConfig, namespace: namespace, name: name)
            for trigger in document["spec"]?["triggers"]?.array() ?? [] {
                for type in ["github", "gitlab", "bitbucket", "generic"] {
                    guard let text = trigger[type]?["secret"]?.scalar?.string else { continue }
                    add(SecretBytes(Array(text.utf8)), "the inline \(type) secret of \(owner)", owner: owner)
                }
            }
        case "S2iBuilder":
            let owner = RouteIdentity(kind: .s2iBuilder, namespace: namespace, name: name)
            guard let text = document["spec"]?["config"]?["secretCode"]?.scalar?.string else { return }
            add(SecretBytes(Array(text.utf8)), "spec.config.secretCode of \(owner)", owner: owner)
        default: break
        }
    }

    /// `team-a/webhook` of `key "token" of Secret/team-a/webhook`.
    private static func object(in place: String) -> String? {
        guard let range = place.range(of: " of Secret/") else { return nil }
        return String(place[range.upperBound...])
    }
}

extension BuildServiceCredential {
    fileprivate var secret: SecretBytes? {
        switch self {
        case .bearer(let secret), .urlToken(let secret), .jfrogSignature(let secret), .jfrogToken(let secret): secret
        case .basic(_, let password): password
        case .header(_, let value): value
        case .unauthenticated: nil
        }
    }
}
