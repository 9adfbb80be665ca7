// The proof of a Hook where its type may be proven in several ways (`spec.credential`), as its sender would carry it.

import Catalog
import Delivery
import Foundation

extension RouteDefinition {
    /// How deliveries of this route are proven; nil where that follows from the sender alone.
    var credential: SenderCredential? {
        guard identity.kind == .hook else { return nil }
        return (rules as? SenderRules)?.credential ?? SenderTable.credentials(of: sender).first
    }
}

extension SignedDelivery {
    /// Carries `secret` as `credential` says, in place of the type's own way. Returns the request target to send to, the secret in
    /// it where it belongs there.
    mutating func prove(by credential: SenderCredential, _ secret: SecretBytes, target: String) -> String {
        let text = String(decoding: secret.bytes, as: UTF8.self)
        switch credential {
        case .signature, .idToken, .nothing: return target
        case .bearer: replaceProof("Authorization", "Bearer \(text)")
        case .basic(let username):
            replaceProof("Authorization", "Basic " + Self.base64(Array("\(username ?? ""):".utf8) + secret.bytes))
        case .header(let name): replaceProof(name, text)
        case .query(let name):
            removeProof()
            return target + (target.contains("?") ? "&" : "?") + Self.encoded(name) + "=" + Self.encoded(text)
        case .pathSegment:
            removeProof()
            let path = target.prefix { $0 != "?" }
            return path + "/" + Self.encoded(text) + target[path.endIndex...]
        }
        return target
    }

    private mutating func replaceProof(_ name: String, _ value: String) {
        removeProof()
        set(name, value, isSecret: true)
    }

    private mutating func removeProof() { fields.removeAll(where: \.isSecret) }

    /// RFC 3986 section 2.3: only unreserved characters stay as they are.
    private static func encoded(_ text: String) -> String {
        let unreserved = CharacterSet(
            charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
        return text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? ""
    }
}
