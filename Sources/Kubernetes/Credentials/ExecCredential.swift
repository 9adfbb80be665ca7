// ExecCredential: what a credential plug-in prints (client.authentication.k8s.io, kind ExecCredential).

import Foundation

struct ExecCredential: Sendable {
    var token: String?
    var clientCertificate: Kubeconfig.ClientCertificate?
    /// nil: good until the API server refuses it.
    var expiresAt: Date?

    /// Why output is no credential, in words that quote nothing of it.
    struct Unusable: Error, Equatable { var reason: String }

    private struct Wire: Decodable {
        struct Status: Decodable {
            var expirationTimestamp: String?
            var token: String?
            var clientCertificateData: String?
            var clientKeyData: String?
        }
        var apiVersion: String?
        var kind: String?
        var status: Status?
    }

    init(output: Data, apiVersion: String) throws(Unusable) {
        let wire: Wire
        do { wire = try JSONDecoder().decode(Wire.self, from: output) } catch {
            throw Unusable(reason: "printed no ExecCredential object (JSON)")
        }
        guard wire.kind == "ExecCredential" else { throw Unusable(reason: "printed an object of another kind") }
        guard wire.apiVersion == apiVersion else {
            throw Unusable(reason: "answered in another version than \(apiVersion), which the kubeconfig names")
        }
        guard let status = wire.status else { throw Unusable(reason: "printed an ExecCredential without status") }
        if let token = status.token, !token.isEmpty {
            guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw Unusable(reason: "gave a token with other than printable ASCII characters")
            }
            self.token = token
        }
        switch (status.clientCertificateData ?? "", status.clientKeyData ?? "") {
        case ("", ""): break
        case ("", _), (_, ""): throw Unusable(reason: "gave only one of clientCertificateData and clientKeyData")
        case (let chain, let key): clientCertificate = .init(chainPEM: [UInt8](chain.utf8), key: SecretText(key))
        }
        guard token != nil || clientCertificate != nil else {
            throw Unusable(reason: "gave neither a token nor a client certificate")
        }
        if let text = status.expirationTimestamp, !text.isEmpty {
            guard let date = Self.date(text) else {
                throw Unusable(reason: "gave an expirationTimestamp that is no RFC 3339 time")
            }
            expiresAt = date
        }
    }

    /// RFC 3339, with or without fractions of a second.
    static func date(_ text: String) -> Date? {
        let plain = ISO8601DateFormatter()
        if let date = plain.date(from: text) { return date }
        let fractional = ISO8601DateFormatter()
        fractional.formatOptions = [.withInternetDateTime, .withFractionalSeconds]
        if let date = fractional.date(from: text) { return date }
        // Foundation reads milliseconds only; the rest of the fraction does not matter here.
        guard let dot = text.firstIndex(of: "."),
            let zone = text[dot...].firstIndex(where: { $0 == "Z" || $0 == "z" || $0 == "+" || $0 == "-" })
        else { return nil }
        return plain.date(from: String(text[..<dot]) + String(text[zone...]))
    }
}
