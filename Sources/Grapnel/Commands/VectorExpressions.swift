// VectorExpressions: the kinds of `grapnel vector` that concern expressions and ID tokens.

import CEL
import Delivery
import Foundation

enum VectorExpressions {
    static func judge(kind: String, _ input: [String: Any]) throws -> [String: Any] {
        switch kind {
        case "cel-compile": return compile(text(input, "expression"), variables: input["variables"] as? [String] ?? [])
        case "cel-eval": return try evaluate(input)
        case "cel-stack": return try stack(input)
        case "oidc-claims": return try claims(input)
        case "oidc-spec": return verdict(OIDCSpec.problem(in: try value(input["oidcProviders"] ?? [])))
        case "oidc-compile":
            return verdict(
                OIDCSpec.expressionProblem(in: try value(input["oidcProviders"] ?? []), compile: compileClaims))
        default:
            switch IDToken.unverifiedIssuer(text(input, "token")) {
            case .success(let issuer): return ["issuer": issuer]
            case .failure(let failure): return ["error": failure.text]
            }
        }
    }

    private static func verdict(_ problem: String?) -> [String: Any] {
        problem.map { ["ok": false, "error": $0] } ?? ["ok": true]
    }

    private static func text(_ input: [String: Any], _ name: String) -> String { input[name] as? String ?? "" }

    private static func value(_ any: Any) throws -> JSONValue {
        let data = try JSONSerialization.data(withJSONObject: any, options: .fragmentsAllowed)
        guard let value = JSONValue(data) else { throw VectorJudge.Trouble("the input is no JSON") }
        return value
    }

    private static func compile(_ source: String, variables: [String]) -> [String: Any] {
        do throws(CELCompileError) {
            _ = try CELProgram.compile(source, variables: variables, expecting: .bool)
            return ["ok": true]
        } catch {
            return ["ok": false, "stage": "compile", "error": error.message]
        }
    }

    private static func compileClaims(_ source: String, isBoolean: Bool) -> String? {
        do throws(CELCompileError) {
            _ = try CELProgram.compile(source, variables: ["claims", "vars"], expecting: isBoolean ? .bool : .any)
            return nil
        } catch {
            return error.message
        }
    }

    private static func variables(_ data: [String: Any]) throws -> [String: CELValue] {
        try data.mapValues { any in
            let bytes = Array(try JSONSerialization.data(withJSONObject: any, options: .fragmentsAllowed))
            return unsafe try bytes.withUnsafeBytes { unsafe try CELValue.parseJSON($0) }
        }
    }

    private static func evaluate(_ input: [String: Any]) throws -> [String: Any] {
        let data = try variables(input["data"] as? [String: Any] ?? [:])
        let names = input["variables"] as? [String] ?? data.keys.sorted()
        let program: CELProgram
        do throws(CELCompileError) {
            program = try CELProgram.compile(text(input, "expression"), variables: names, expecting: .bool)
        } catch {
            return ["ok": false, "stage": "compile", "error": error.message]
        }
        do throws(CELEvaluationError) {
            return ["ok": true, "result": try program.evaluateBool(data)]
        } catch {
            return ["ok": false, "stage": "eval", "error": error.message]
        }
    }

    private static func stack(_ input: [String: Any]) throws -> [String: Any] {
        let data = try variables(input["data"] as? [String: Any] ?? [:])
        for name in ["resourceFilter", "filter"] {
            let source = text(input, name)
            if source.isEmpty { continue }
            let program = try CELProgram.compile(source, variables: data.keys.sorted(), expecting: .bool)
            if try !program.evaluateBool(data) { return ["accept": false] }
        }
        return ["accept": true]
    }

    private static func claims(_ input: [String: Any]) throws -> [String: Any] {
        guard let provider = input["provider"] as? [String: Any] else {
            throw VectorJudge.Trouble("oidc-claims needs provider")
        }
        func expressions(_ list: String, _ other: String) -> [ClaimsRules.Expression] {
            (provider[list] as? [[String: Any]] ?? []).map {
                ClaimsRules.Expression(name: text($0, other), source: text($0, "expression"))
            }
        }
        let rules: ClaimsRules
        do throws(FilterError) {
            rules = try ClaimsRules(
                variables: expressions("variables", "name"), validations: expressions("validations", "message"))
        } catch {
            return ["ok": false, "error": error.message]
        }
        switch rules.check(try value(input["claims"] ?? [:])) {
        case .success: return ["ok": true]
        case .failure(let failure): return ["ok": false, "error": failure.text]
        }
    }
}
