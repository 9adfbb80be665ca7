// VectorCommand: `grapnel vector` (hidden): judges test vectors without HTTP.
//
// One JSON object a line on standard input, `{"id", "kind", "input"}`, one a line on standard output with the same id. A line
// that cannot be judged gets `{"id", "error"}` and never ends the process.

import ArgumentParser
import Catalog
import Foundation

struct VectorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vector", abstract: "Judge test vectors: JSON lines in, JSON lines out.", shouldDisplay: false)

    func run() {
        while let line = readLine() {
            if line.allSatisfy(\.isWhitespace) { continue }
            // One write a line: whoever reads the answers may wait for each.
            FileHandle.standardOutput.write(Data((VectorJudge.answer(to: line) + "\n").utf8))
        }
    }
}

enum VectorJudge {
    /// One line of JSON for one line of JSON.
    static func answer(to line: String) -> String {
        guard let object = try? JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any] else {
            return encode(["id": NSNull(), "error": "the line is no JSON object"])
        }
        var answer: [String: Any]
        do {
            guard let input = object["input"] as? [String: Any] else { throw Trouble("input must be an object") }
            answer = try judge(kind: object["kind"] as? String ?? "", input)
        } catch let trouble as Trouble {
            answer = ["error": trouble.text]
        } catch {
            answer = ["error": "cannot be judged"]
        }
        answer["id"] = object["id"] ?? NSNull()
        return encode(answer)
    }

    struct Trouble: Error {
        let text: String
        init(_ text: String) { self.text = text }
    }

    private static func judge(kind: String, _ input: [String: Any]) throws -> [String: Any] {
        switch kind {
        case "path": return ["webhookPath": try webhookPath(input)]
        case "cel-compile", "cel-eval", "cel-stack", "oidc-claims", "oidc-spec", "oidc-compile", "jwt-issuer":
            return try VectorExpressions.judge(kind: kind, input)
        case "receiver-spec", "crd-admission":
            guard let spec = input["spec"] as? [String: Any] else { throw Trouble("input.spec must be an object") }
            let errors = ReceiverAdmission.errors(spec: Array(try JSONSerialization.data(withJSONObject: spec)))
            return errors.isEmpty ? ["ok": true] : ["ok": false, "error": errors.joined(separator: "; ")]
        default:
            throw Trouble(
                "unknown kind \"\(kind)\"; known: path, cel-compile, cel-eval, cel-stack, oidc-claims, oidc-spec, "
                    + "oidc-compile, jwt-issuer, receiver-spec, crd-admission")
        }
    }

    private static func webhookPath(_ input: [String: Any]) throws -> String {
        guard let name = input["name"] as? String, let namespace = input["namespace"] as? String else {
            throw Trouble("path needs name and namespace")
        }
        let token: [UInt8]
        if let encoded = input["tokenBase64"] as? String {
            guard let data = Data(base64Encoded: encoded) else { throw Trouble("tokenBase64 is not base64") }
            token = Array(data)
        } else if let text = input["token"] as? String {
            token = Array(text.utf8)
        } else {
            throw Trouble("path needs token or tokenBase64")
        }
        return WebhookPath.flux(token: token, name: name, namespace: namespace)
    }

    private static func encode(_ answer: [String: Any]) -> String {
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        guard let data = try? JSONSerialization.data(withJSONObject: answer, options: options) else {
            return "{\"error\":\"the answer cannot be written\",\"id\":null}"
        }
        return String(decoding: data, as: UTF8.self)
    }
}
