// ClaimsRules: what a Receiver of type generic-oidc demands of the claims of a genuine ID token: variables in order, then every
// validation (fluxcd/notification-controller, receiver_claims.go). Compiled once; its texts are upstream's.

internal import CEL

/// One provider's compiled variables and validations. Safe from any thread.
public struct ClaimsRules: Sendable {
    public struct Expression: Sendable {
        /// A variable's name, or the message of a validation.
        public var name: String
        public var source: String

        public init(name: String, source: String) {
            self.name = name
            self.source = source
        }
    }

    private let variables: [(name: String, program: CELProgram)]
    private let validations: [(message: String, program: CELProgram)]

    public init(variables: [Expression], validations: [Expression]) throws(FilterError) {
        var compiledVariables: [(name: String, program: CELProgram)] = []
        for variable in variables {
            do throws(CELCompileError) {
                let program = try CELProgram.compile(variable.source, variables: ["claims", "vars"], expecting: .any)
                compiledVariables.append((variable.name, program))
            } catch {
                throw FilterError(message: "invalid expression for variable \"\(variable.name)\": \(error.message)")
            }
        }
        var compiledValidations: [(message: String, program: CELProgram)] = []
        for validation in validations {
            do throws(CELCompileError) {
                let program = try CELProgram.compile(
                    validation.source, variables: ["claims", "vars"], expecting: .bool)
                compiledValidations.append((validation.name, program))
            } catch {
                throw FilterError(message: "invalid expression for validation \"\(validation.name)\": \(error.message)")
            }
        }
        self.variables = compiledVariables
        self.validations = compiledValidations
    }

    /// Success when every validation holds. The messages of all that do not are joined by `; `.
    public func check(_ claims: JSONValue) -> Result<Void, ClaimsFailure> {
        let bytes = claims.serialized
        guard let claims = unsafe bytes.withUnsafeBytes({ bytes in unsafe try? CELValue.parseJSON(bytes) }) else {
            return .failure(ClaimsFailure("the claims are no JSON object"))
        }
        guard !validations.isEmpty else { return .failure(ClaimsFailure("the provider has no validations")) }
        var values: [(CELKey, CELValue)] = []
        for variable in variables {
            do throws(CELEvaluationError) {
                let value = try variable.program.evaluate(["claims": claims, "vars": .map(CELMap(values))])
                values.append((.string(variable.name), value))
            } catch {
                return .failure(
                    ClaimsFailure("failed to evaluate variable \"\(variable.name)\": \(error.message)"))
            }
        }
        var failed: [String] = []
        for validation in validations {
            do throws(CELEvaluationError) {
                let holds = try validation.program.evaluateBool(["claims": claims, "vars": .map(CELMap(values))])
                if !holds { failed.append(validation.message) }
            } catch {
                return .failure(ClaimsFailure("failed to evaluate validation: \(error.message)"))
            }
        }
        return failed.isEmpty
            ? .success(()) : .failure(ClaimsFailure("token validation failed: " + failed.joined(separator: "; ")))
    }
}
