# Yours to fill in. Everything else that can be chosen is in variables.tf.

project_id     = "your-project-id" # gcloud projects list
project_number = "123456789012"    # gcloud projects describe PROJECT_ID --format='value(projectNumber)'
region         = "australia-southeast1"

# alert_email     = "you@example.com"
# budget          = { billing_account = "01AB23-45CD67-89EF01", amount = 10 } # gcloud billing accounts list
# api_key_version = "1" # after the key was added: docs/deploy.md
